// Endpoints and replicas: idempotent creation, soft deletion, epochs that never repeat, and rows
// that gateways get in the transaction of the change.
#include "controlplane/store/replicas.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Endpoints : public StoreFixture {
  protected:
    Endpoints() : org_(make_org("acme").id) {}

    NewEndpoint request(const std::string& name, const std::string& key) {
        NewEndpoint wanted;
        wanted.idempotency_key = key;
        wanted.actor = "operator";
        wanted.wanted.name = name;
        wanted.wanted.owner = org_;
        wanted.wanted.model = "m";
        wanted.wanted.hardware = "1x_cpu";
        return wanted;
    }

    Replica start(const EndpointId& endpoint, const std::string& id) {
        return begin_replica_start(*store_, {ReplicaId(id), endpoint, 0, 1, "unix:/x"}, now())
            .value();
    }

    Status set_state(const Replica& replica, ReplicaState state) {
        return set_replica_state(*store_, {replica.id, replica.epoch, state, "", std::nullopt},
                                 now());
    }

    std::vector<ReplicaRow> published(const EndpointId& id) {
        const Snapshot all =
            parse_snapshot(store_->snapshot_json(store_->store_id(), 0).value()).value();
        for (const auto& change : all.endpoints) {
            if (change.id == id.value()) return change.row->replicas;
        }
        return {};
    }

    OrgId org_;
};

TEST_F(Endpoints, AreCreatedOncePerIdempotencyKey) {
    NewEndpoint wanted = request("acme/m-1", "k");
    wanted.published = ModelName{};
    wanted.published->served_model = "m";
    wanted.published->owner = org_;
    const Endpoint made = create_endpoint(*store_, wanted, now()).value();
    EXPECT_EQ(made.state, EndpointState::kPending);
    EXPECT_EQ(made.generation, 1);
    wanted.wanted.name = "acme/m-2";
    EXPECT_EQ(create_endpoint(*store_, wanted, now()).value().id, made.id);
    EXPECT_EQ(list_endpoints(*store_, org_).value().size(), 1U);
    const auto models = list_models(*store_, now()).value();
    ASSERT_EQ(models.size(), 1U);
    EXPECT_EQ(models[0].name, "acme/m-1");
    EXPECT_EQ(models[0].endpoint, made.id);
    EXPECT_EQ(models[0].owner, org_);
    EXPECT_EQ(create_endpoint(*store_, request("acme/m-1", "other"), now()).error().code,
              ErrorCode::kConflict);
    wanted = request("x", "");
    wanted.wanted.owner = OrgId("none");
    EXPECT_EQ(create_endpoint(*store_, wanted, now()).error().code, ErrorCode::kNotFound);
}

TEST_F(Endpoints, OfAnotherOwnerAreNotFound) {
    const Endpoint made = create_endpoint(*store_, request("a", ""), now()).value();
    EXPECT_TRUE(find_endpoint(*store_, made.id, org_).has_value());
    EXPECT_EQ(find_endpoint(*store_, made.id, OrgId("other")).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(list_endpoints(*store_, OrgId("other")).value().empty());
}

TEST_F(Endpoints, ChangesMakeAGenerationAndAnOperationThatEnds) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    EndpointChange change;
    change.desired = DesiredState::kStopped;
    const Endpoint stopped = update_endpoint(*store_, id, change, "operator", now()).value();
    EXPECT_EQ(stopped.generation, 2);
    EXPECT_EQ(update_endpoint(*store_, id, change, "operator", now()).value().generation, 2);
    EXPECT_EQ(list_operations(*store_, id).value().size(), 2U);
    EXPECT_FALSE(list_operations(*store_, id).value()[0].finished_at.has_value());
    ASSERT_TRUE(set_endpoint_state(*store_, id, EndpointState::kError, "why", now()).has_value());
    EXPECT_TRUE(list_operations(*store_, id).value()[0].finished_at.has_value());
    EXPECT_EQ(find_endpoint(*store_, id).value().reason, "why");
    change.desired = DesiredState::kStarted;
    const Endpoint again = update_endpoint(*store_, id, change, "operator", now()).value();
    EXPECT_EQ(again.state, EndpointState::kPending);
    EXPECT_EQ(again.reason, "");
    EXPECT_EQ(update_endpoint(*store_, EndpointId("x"), change, "", now()).error().code,
              ErrorCode::kNotFound);
    EXPECT_EQ(
        set_endpoint_state(*store_, EndpointId("x"), EndpointState::kError, "", now()).error().code,
        ErrorCode::kNotFound);
}

TEST_F(Endpoints, SpeculationIsSwitchedForEach) {
    NewEndpoint without = request("a", "");
    without.wanted.disable_speculative_decoding = true;
    const EndpointId id = create_endpoint(*store_, without, now()).value().id;
    const EndpointId other = create_endpoint(*store_, request("b", ""), now()).value().id;
    EXPECT_TRUE(find_endpoint(*store_, id).value().disable_speculative_decoding);
    EXPECT_FALSE(find_endpoint(*store_, other).value().disable_speculative_decoding);
    EndpointChange change;
    change.display_name = "another";
    EXPECT_TRUE(update_endpoint(*store_, id, change, "operator", now())
                    .value()
                    .disable_speculative_decoding);
    change.disable_speculative_decoding = false;
    EXPECT_EQ(update_endpoint(*store_, id, change, "operator", now()).value().generation, 3);
    EXPECT_FALSE(find_endpoint(*store_, id).value().disable_speculative_decoding);
}

TEST_F(Endpoints, OnlyReadyReplicasArePublished) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    const Replica replica = start(id, "a-1-0");
    EXPECT_EQ(replica.epoch, Epoch(1));
    EXPECT_TRUE(published(id).empty());
    ASSERT_TRUE(set_state(replica, ReplicaState::kReady).has_value());
    ASSERT_EQ(published(id).size(), 1U);
    EXPECT_EQ(published(id)[0].epoch, Epoch(1));
    ASSERT_TRUE(set_state(replica, ReplicaState::kDraining).has_value());
    EXPECT_TRUE(published(id).empty());
}

TEST_F(Endpoints, EpochsNeverRepeatNotEvenAfterForgetting) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    const Replica first = start(id, "a-1-0");
    const Replica second = start(id, "a-1-0");
    EXPECT_EQ(second.epoch, Epoch(2));
    EXPECT_EQ(set_state(first, ReplicaState::kReady).error().code, ErrorCode::kConflict);
    ASSERT_TRUE(forget_replica(*store_, first.id, now()).has_value());
    EXPECT_TRUE(forget_replica(*store_, first.id, now()).has_value());
    EXPECT_TRUE(list_replicas(*store_, id).value().empty());
    EXPECT_EQ(set_state(second, ReplicaState::kReady).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(start(id, "a-1-0").epoch, Epoch(3));
    EXPECT_EQ(begin_replica_start(*store_, {ReplicaId("z"), EndpointId("x"), 0, 1, ""}, now())
                  .error()
                  .code,
              ErrorCode::kNotFound);
}

TEST_F(Endpoints, FailuresAreKeptOverRestartsUntilReset) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    const Replica replica = start(id, "a-1-0");
    const ReplicaChange failed{replica.id, replica.epoch, ReplicaState::kFailed, "exit 1", 3};
    ASSERT_TRUE(set_replica_state(*store_, failed, now()).has_value());
    EXPECT_EQ(list_replicas(*store_, id).value()[0].reason, "exit 1");
    EXPECT_EQ(start(id, "a-1-0").num_failures, 3);
}

TEST_F(Endpoints, ADeletedOneIsWantedUntilItsReplicasAreGone) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    make_name(id, "alias", price_of(1, 1));
    const Replica replica = start(id, "a-1-0");
    ASSERT_TRUE(set_state(replica, ReplicaState::kReady).has_value());
    ASSERT_TRUE(delete_endpoint(*store_, id, "operator", now()).has_value());
    EXPECT_TRUE(list_endpoints(*store_, org_).value().empty());
    EXPECT_TRUE(list_models(*store_, now()).value().empty());
    EXPECT_TRUE(published(id).empty());
    const auto wanted = list_wanted_endpoints(*store_).value();
    ASSERT_EQ(wanted.size(), 1U);
    EXPECT_TRUE(wanted[0].is_deleted);
    EXPECT_EQ(wanted[0].desired, DesiredState::kStopped);
    ASSERT_TRUE(forget_replica(*store_, replica.id, now()).has_value());
    EXPECT_TRUE(list_wanted_endpoints(*store_).value().empty());
    EXPECT_EQ(delete_endpoint(*store_, id, "operator", now()).error().code, ErrorCode::kNotFound);
}

TEST_F(Endpoints, AQuotaBoundsEndpointsAndTheReplicasThatTheyMayHave) {
    const EndpointQuota quota{2, 5};
    const auto create = [&](const std::string& name, int most) {
        NewEndpoint wanted = request(name, name);
        wanted.wanted.type = EndpointType::kDedicated;
        wanted.wanted.autoscaling = {1, most};
        wanted.quota = quota;
        return create_endpoint(*store_, wanted, now());
    };
    const EndpointId first = create("a", 3).value().id;
    EXPECT_EQ(create("b", 3).error().code, ErrorCode::kPermissionDenied);
    ASSERT_TRUE(create("b", 2));
    ASSERT_TRUE(create("b", 2)) << "the same call again";
    EXPECT_EQ(create("c", 1).error().message,
              "this organisation would have 3 dedicated endpoints, and its quota is 2");
    const auto update = [&](const EndpointChange& change) {
        EndpointChange bounded = change;
        bounded.quota = quota;
        return update_endpoint(*store_, first, bounded, "operator", now()).has_value();
    };
    EndpointChange larger;
    larger.autoscaling = Autoscaling{1, 4};
    EXPECT_FALSE(update(larger));
    EndpointChange stop;
    stop.desired = DesiredState::kStopped;
    EXPECT_TRUE(update(stop)) << "less is always possible";
    EXPECT_TRUE(update(larger)) << "what is stopped has no replica";
    EndpointChange start;
    start.desired = DesiredState::kStarted;
    EXPECT_FALSE(update(start));
}

TEST_F(Endpoints, ARolloutBeginsWithWhatReplicasRun) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    const auto update = [&](const EndpointChange& change) {
        return update_endpoint(*store_, id, change, "operator", now()).value().rollout;
    };
    EndpointChange scale;
    scale.autoscaling = Autoscaling{1, 5};
    EXPECT_EQ(update(scale), 1);
    EndpointChange drafts;
    drafts.disable_speculative_decoding = true;
    EXPECT_EQ(update(drafts), 2);
    EXPECT_EQ(update(drafts), 2);
    EndpointChange restart;
    restart.restart = true;
    EXPECT_EQ(update(restart), 3);
    EXPECT_EQ(find_endpoint(*store_, id).value().rollout, 3);
}

TEST_F(Endpoints, OtherSettingsOfAModelRollItsEndpoints) {
    const Endpoint made = create_endpoint(*store_, request("a", ""), now()).value();
    const EndpointId other = [&] {
        NewEndpoint of_another = request("b", "");
        of_another.wanted.model = "another";
        return create_endpoint(*store_, of_another, now()).value().id;
    }();
    const auto note = [&](const std::string& digest) {
        return note_model_run(*store_, made.model, digest, "settings", now()).value();
    };
    EXPECT_EQ(note("first"), 0) << "nothing is known of what it ran before";
    EXPECT_EQ(note("first"), 0);
    EXPECT_EQ(note("second"), 1);
    EXPECT_EQ(note("second"), 0);
    EXPECT_EQ(find_endpoint(*store_, made.id).value().rollout, 2);
    EXPECT_EQ(find_endpoint(*store_, other).value().rollout, 1);
}

TEST_F(Endpoints, StepsAreOpenUntilFinishedAlsoAfterReopening) {
    const EndpointId id = create_endpoint(*store_, request("a", ""), now()).value().id;
    Step step;
    step.endpoint = id;
    step.replica = "a-1-0";
    step.action = "start";
    const std::int64_t first = begin_step(*store_, step, now()).value();
    const std::int64_t second = begin_step(*store_, step, now()).value();
    ASSERT_TRUE(finish_step(*store_, first, "done", now()).has_value());
    EXPECT_EQ(finish_step(*store_, first, "done", now()).error().code, ErrorCode::kNotFound);
    open();
    const auto open_steps = list_open_steps(*store_).value();
    ASSERT_EQ(open_steps.size(), 1U);
    EXPECT_EQ(open_steps[0].id, second);
    EXPECT_EQ(open_steps[0].action, "start");
}

}  // namespace
}  // namespace turnpike::controlplane
