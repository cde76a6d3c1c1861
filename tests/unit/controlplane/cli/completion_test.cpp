// The scripts follow the tree of verbs: every verb, flag and choice, and nothing that is hidden.
// tests/component/completion_test.py runs those of the real tree.
#include "controlplane/cli/completion.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane::cli {
namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class Completion : public testing::Test {
  protected:
    Completion() : app_("A program.", "prog") {
        CLI::App* noun = app_.add_subcommand("noun", "things");
        CLI::App* verb = noun->add_subcommand("verb", "do it: it's done");
        verb->add_option("--one,-o", text_, "one value");
        verb->add_option("--many", texts_, "some values")->type_name("FILE");
        verb->add_option("--mode", text_, "a choice")->check(CLI::IsMember({"fast", "slow"}));
        verb->add_flag("--wait,!--no-wait", is_set_, "wait");
        verb->add_option("kind", text_, "a choice without a flag")
            ->check(CLI::IsMember({"a", "b"}));
        app_.add_subcommand("secret", "nobody's business")->group("");
        bash_ = bash_completion(app_);
        zsh_ = zsh_completion(app_);
    }

    CLI::App app_;
    std::string text_;
    std::vector<std::string> texts_;
    bool is_set_ = false;
    std::string bash_;
    std::string zsh_;
};

TEST_F(Completion, HasEveryVerbAndFlag) {
    EXPECT_TRUE(has(bash_,
                    "' noun verb') words='--help -h --one -o --many --mode --wait --no-wait "
                    "a b' ;;"))
        << bash_;
    EXPECT_TRUE(has(bash_, "'') words='noun --help -h' ;;")) << bash_;
    EXPECT_TRUE(has(bash_, "complete -F _prog prog\n"));
    for (const char* entry :
         {"'noun:things'", "'--wait:wait'", "'--no-wait:wait'", "'a'", "#compdef prog\n"})
        EXPECT_TRUE(has(zsh_, entry)) << entry << " in\n" << zsh_;
    EXPECT_FALSE(has(bash_ + zsh_, "secret"));
}

TEST_F(Completion, KnowsWhichFlagsTakeValues) {
    EXPECT_TRUE(has(bash_, "' noun verb --one'|' noun verb -o'|' noun verb --mode') skip=1"))
        << bash_;
    EXPECT_TRUE(has(bash_, "' noun verb --many') skip=2")) << bash_;
    EXPECT_TRUE(has(bash_, "' noun verb --many') compopt -o default; return ;;")) << bash_;
    EXPECT_TRUE(has(bash_, "' noun verb --mode') words='fast slow' ;;")) << bash_;
    EXPECT_TRUE(has(zsh_, "' noun verb --mode') entries=(fast slow) ;;")) << zsh_;
    EXPECT_TRUE(has(zsh_, "' noun verb --many') _files; return ;;")) << zsh_;
}

TEST_F(Completion, QuotesWhatShellsWouldRead) {
    EXPECT_TRUE(has(zsh_, R"('verb:do it: it'\''s done')")) << zsh_;
}

}  // namespace
}  // namespace turnpike::controlplane::cli
