// The verbs of `turnpike endpoints`: those of `together endpoints`, and what operators have beyond.
#include "controlplane/cli/commands.h"

namespace turnpike::controlplane::cli {

void Commands::endpoints() {
    CLI::App& noun_app = noun("endpoints", "dedicated endpoints");
    auto* create =
        verb(noun_app, "create", "create and start one", [](auto& admin, const Options& o) {
            NewEndpoint endpoint = o.endpoint;
            endpoint.waits = o.waits;
            return create_endpoint(admin, endpoint, o.output);
        });
    with_new_endpoint(create);
    create->add_flag("--wait,!--no-wait", options_.waits, "return once it is STARTED; 1 on ERROR");
    auto* list = verb(noun_app, "list", "list them", [](auto& admin, const Options& o) {
        return list_endpoints(admin, o.endpoint_filter, o.output);
    });
    EndpointFilter& filter = options_.endpoint_filter;
    list->add_option("--org", filter.org, "as this organisation, by id or name, sees them");
    list->add_option("--type", filter.type, "of this kind")
        ->check(CLI::IsMember({"dedicated", "serverless"}));
    list->add_flag("--mine{true}", filter.is_mine, "without the shared pools; with --org");
    list->add_option("--usage-type", filter.usage_type, "billed so; nothing is reserved here")
        ->check(CLI::IsMember({"on-demand", "reserved"}));
    const auto with_id = [this](CLI::App* sub) {
        sub->add_option("id", options_.id, "see `turnpike endpoints list`")->required();
        return sub;
    };
    with_id(verb(noun_app, "get", "show one", [](auto& admin, const Options& o) {
        return get_endpoint(admin, o.id, o.output);
    }))->alias("retrieve");
    auto* update =
        with_id(verb(noun_app, "update", "change one", [](auto& admin, const Options& o) {
            return update_endpoint(admin, o.id, o.update, o.output);
        }));
    update->add_option("--display-name", options_.update.display_name, "for people");
    auto* least = update->add_option("--min-replicas", options_.update.min_replicas,
                                     "always kept; 0: none while nobody asks");
    auto* most = update->add_option("--max-replicas", options_.update.max_replicas, "never more");
    least->type_name("N")->needs(most);
    most->type_name("N")->needs(least);
    update
        ->add_option("--inactive-timeout", options_.update.inactive_timeout,
                     "minutes without a request until it stops, or has no replica; 0: never")
        ->type_name("MINUTES");
    with_id(verb(noun_app, "start", "start one", [](auto& admin, const Options& o) {
        return set_endpoint_state(admin, o.id, "STARTED", o.waits, o.output);
    }))->add_flag("--wait,!--no-wait", options_.waits, "return once it is STARTED");
    with_id(verb(noun_app, "stop", "stop one", [](auto& admin, const Options& o) {
        return set_endpoint_state(admin, o.id, "STOPPED", o.waits, o.output);
    }))->add_flag("--wait,!--no-wait", options_.waits, "return once it is STOPPED");
    with_id(verb(noun_app, "restart", "replace its replicas one by one; no request is lost",
                 [](auto& admin, const Options& o) {
                     return restart_endpoint(admin, o.id, o.waits, o.output);
                 }))
        ->add_flag("--wait,!--no-wait", options_.waits, "return once all are replaced");
    with_id(verb(noun_app, "replicas", "list its replicas", [](auto& admin, const Options& o) {
        return list_replicas(admin, o.id, o.output);
    }));
    with_hardware_filter(verb(noun_app, "hardware", "what they can run on, with prices",
                              [](auto& admin, const Options& o) {
                                  return list_hardware(admin, o.hardware_filter, o.output);
                              }));
    verb(noun_app, "availability-zones", "where hardware is",
         [](auto& admin, const Options& o) { return list_zones(admin, o.output); });
    with_id(verb(noun_app, "delete", "delete one",
                 [](auto& admin, const Options& o) { return delete_endpoint(admin, o.id); }));
}

void Commands::with_new_endpoint(CLI::App* sub) {
    options_.endpoint.org = "demo";
    sub->add_option("--model", options_.endpoint.model,
                    "a model card's id: SERVED BY in `turnpike models`")
        ->required();
    auto* hardware = sub->add_option("--hardware", options_.endpoint.hardware,
                                     "see `turnpike endpoints hardware`; or --gpu");
    auto* gpu = sub->add_option("--gpu", options_.endpoint.gpu, "h100, h200, …; with --gpu-count");
    gpu->excludes(hardware);
    sub->add_option("--gpu-count", options_.endpoint.gpu_count, "GPUs of a replica (1)")
        ->type_name("N")
        ->needs(gpu);
    sub->add_option("--availability-zone", options_.endpoint.zone,
                    "see `turnpike endpoints availability-zones`");
    sub->add_option("--min-replicas", options_.endpoint.min_replicas,
                    "always kept; 0: none while nobody asks (1)")
        ->type_name("N");
    sub->add_option("--max-replicas", options_.endpoint.max_replicas, "never more (1)")
        ->type_name("N");
    sub->add_option("--inactive-timeout", options_.endpoint.inactive_timeout,
                    "minutes without a request until it stops, or has no replica; 0: never (0)")
        ->type_name("MINUTES");
    sub->add_flag("--no-auto-start", options_.endpoint.no_auto_start, "made STOPPED");
    sub->add_option("--display-name", options_.endpoint.display_name,
                    "for people (that of the model)");
    // Together's flag of that name, which has no effect there either.
    sub->add_flag("--no-prompt-cache", options_.endpoint.no_prompt_cache,
                  "taken, and without effect: prefixes are always cached");
    sub->add_flag("--no-speculation,--no-speculative-decoding", options_.endpoint.no_speculation,
                  "its replicas draft nothing, whatever is set for the model");
    sub->add_option("--org", options_.endpoint.org, "owner, by id or name (demo)");
}

void Commands::with_hardware_filter(CLI::App* sub) {
    sub->add_option("--model", options_.hardware_filter.model,
                    "for this model, with what is available");
    sub->add_flag("--available", options_.hardware_filter.is_available,
                  "only what has room; with --model");
}

}  // namespace turnpike::controlplane::cli
