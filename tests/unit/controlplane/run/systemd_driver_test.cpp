// Reading systemctl show: whose unit it is, whether it lives, and how it ended.
#include "controlplane/run/systemd_driver.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

SystemdUnit ended(const std::string& result, const std::string& code, const std::string& status) {
    SystemdUnit unit;
    unit.active_state = "failed";
    unit.result = result;
    unit.exit_code = code;
    unit.exit_status = status;
    return unit;
}

TEST(SystemdUnits, ReadsABlockForEach) {
    const auto units = parse_units(
        "Id=turnpike-engine@a-1-0.service\nActiveState=active\nMainPID=71\nResult=success\n"
        "ExecMainCode=0\nExecMainStatus=0\n\n"
        "Id=ssh.service\nActiveState=active\nMainPID=1\n\n"
        "MainPID=0\nExecMainCode=2\nId=turnpike-engine@b-1-0.service\nActiveState=failed\n");
    ASSERT_EQ(units.size(), 2U);
    EXPECT_EQ(units[0].replica, ReplicaId("a-1-0"));
    EXPECT_EQ(units[0].pid, 71);
    EXPECT_TRUE(is_live(units[0]));
    EXPECT_EQ(units[1].replica, ReplicaId("b-1-0"));
    EXPECT_EQ(units[1].exit_code, "2");
    EXPECT_FALSE(is_live(units[1]));
    EXPECT_TRUE(parse_units("").empty());
    EXPECT_TRUE(parse_units("no properties at all").empty());
}

TEST(SystemdUnits, WhatEndsStillLives) {
    SystemdUnit unit;
    for (const char* state : {"activating", "active", "deactivating", "reloading"}) {
        unit.active_state = state;
        EXPECT_TRUE(is_live(unit)) << state;
    }
    unit.active_state = "inactive";
    EXPECT_FALSE(is_live(unit));
}

TEST(SystemdUnits, TellsPeopleHowOneEnded) {
    EXPECT_EQ(exit_reason(ended("exit-code", "1", "7")), "exit status 7");
    EXPECT_EQ(exit_reason(ended("signal", "2", "9")), "signal 9");
    EXPECT_EQ(exit_reason(ended("core-dump", "3", "6")), "signal 6");
    EXPECT_EQ(exit_reason(ended("watchdog", "2", "6")), "no progress for too long (watchdog)");
    EXPECT_EQ(exit_reason(ended("oom-kill", "2", "9")), "out of memory");
    EXPECT_EQ(exit_reason(ended("success", "0", "0")), "it ended, or its host did");
}

}  // namespace
}  // namespace turnpike::controlplane
