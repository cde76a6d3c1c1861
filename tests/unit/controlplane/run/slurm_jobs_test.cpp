// Reading squeue: which job stands for a replica, and how it ended.
#include "controlplane/run/slurm_jobs.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

// A line as squeue --Format pads it.
std::string line(const std::string& id,
                 const std::string& state,
                 const std::string& exit,
                 const std::string& reason,
                 const std::string& comment) {
    const auto padded = [](std::string text, std::size_t width) {
        text.resize(width, ' ');
        return text;
    };
    return padded(id, 16) + padded(state, 16) + padded(exit, 12) + padded(reason, 48) +
           padded("n1", 68) + padded(comment, 160) + "\n";
}

SlurmJob job(const std::string& state, const std::string& exit) {
    SlurmJob one;
    one.state = state;
    one.exit = exit;
    return one;
}

TEST(SlurmJobs, AsksForTheColumnsThatItReads) {
    EXPECT_EQ(jobs_format(), "JobID:16,State:16,exit_code:12,Reason:48,BatchHost:68,Comment:160");
}

TEST(SlurmJobs, ReadsItsOwnAndLeavesOthers) {
    const auto jobs = parse_jobs(line("7", "RUNNING", "0", "None", "tp:a-1-0:3") +
                                     line("8", "RUNNING", "0", "None", "somebody else's") +
                                     line("9", "RUNNING", "0", "None", "tp2:a-1-0:3"),
                                 "tp");
    ASSERT_TRUE(jobs);
    ASSERT_EQ(jobs->size(), 1U);
    EXPECT_EQ(jobs->front().id, 7);
    EXPECT_EQ(jobs->front().replica, ReplicaId("a-1-0"));
    EXPECT_EQ(jobs->front().epoch, Epoch(3));
    EXPECT_EQ(jobs->front().batch_host, "n1");
    EXPECT_TRUE(parse_jobs("", "tp")->empty());
    EXPECT_EQ(job_comment("tp", ReplicaId("a-1-0"), Epoch(3)), "tp:a-1-0:3");
}

TEST(SlurmJobs, RefusesWhatIsNoListing) {
    const auto jobs = parse_jobs(line("x", "RUNNING", "0", "None", "tp:a-1-0:3"), "tp");
    ASSERT_FALSE(jobs);
    EXPECT_EQ(jobs.error().code, ErrorCode::kCorrupt);
}

TEST(SlurmJobs, TheJobThatLivesStandsForTheReplica) {
    const auto jobs = parse_jobs(line("9", "FAILED", "256", "NonZeroExitCode", "tp:a-1-0:4") +
                                     line("3", "PENDING", "0", "Resources", "tp:a-1-0:3") +
                                     line("2", "CANCELLED", "0", "None", "tp:b-1-0:1") +
                                     line("1", "NODE_FAIL", "0", "NodeDown", "tp:b-1-0:2"),
                                 "tp");
    const auto processes = processes_of(*jobs);
    ASSERT_EQ(processes.size(), 2U);
    EXPECT_TRUE(processes[0].is_running);
    EXPECT_EQ(processes[0].epoch, Epoch(3));
    EXPECT_EQ(processes[0].phase, Phase::kQueued);
    EXPECT_EQ(processes[0].wait_reason, "Resources");
    EXPECT_FALSE(processes[1].is_running);
    EXPECT_EQ(processes[1].epoch, Epoch(2));
    EXPECT_EQ(processes[1].exit_reason, "node failed");
}

TEST(SlurmJobs, WhatIsNotKnownToHaveEndedMayRun) {
    for (const char* state : {"RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "SOMETHING_NEW"})
        EXPECT_TRUE(is_live(job(state, "0"))) << state;
    for (const char* state : {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL",
                              "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"})
        EXPECT_FALSE(is_live(job(state, "0"))) << state;
}

TEST(SlurmJobs, TellsPeopleHowOneEnded) {
    EXPECT_EQ(exit_reason(job("COMPLETED", "0")), "exit status 0");
    EXPECT_EQ(exit_reason(job("FAILED", "1792")), "exit status 7");
    EXPECT_EQ(exit_reason(job("FAILED", "7:0")), "exit status 7");
    EXPECT_EQ(exit_reason(job("FAILED", "9")), "signal 9");
    EXPECT_EQ(exit_reason(job("FAILED", "0:9")), "signal 9");
    EXPECT_EQ(exit_reason(job("FAILED", "137:0")), "signal 9");
    EXPECT_EQ(exit_reason(job("CANCELLED by 0", "0")), "cancelled");
    EXPECT_EQ(exit_reason(job("TIMEOUT", "0")), "its job's time limit");
    EXPECT_EQ(exit_reason(job("OUT_OF_MEMORY", "0:125")), "out of memory");
}

}  // namespace
}  // namespace turnpike::controlplane
