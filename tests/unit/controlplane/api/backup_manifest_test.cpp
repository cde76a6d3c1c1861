// The manifest of a backup: written and read again, and nonsense named.
#include "controlplane/api/backup_manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

BackupManifest example() {
    BackupManifest manifest;
    manifest.store_id = "01M844DZG0TBE3XPQWS6TVEWFH";
    manifest.revision = 12;
    manifest.created_at = "2026-11-23T12:00:00.000Z";
    manifest.control_schema = 14;
    manifest.usage_schema = 1;
    manifest.ledger = {3, std::string(64, 'a')};
    manifest.audit = {5, std::string(64, 'b')};
    manifest.files = {{"control.db", 4096, std::string(64, 'c')},
                      {"usage-2026-11.db", 8192, std::string(64, 'd')}};
    return manifest;
}

// The error of the example with one value replaced.
std::string refusal(const char* pointer, const json& value) {
    json object = json::parse(write_backup_manifest(example()));
    object[json::json_pointer(pointer)] = value;
    const auto parsed = parse_backup_manifest(object.dump());
    if (parsed) return "accepted";
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
    return parsed.error().message;
}

TEST(BackupManifest, IsReadAsWritten) {
    const auto read = parse_backup_manifest(write_backup_manifest(example()));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(write_backup_manifest(*read), write_backup_manifest(example()));
    EXPECT_EQ(read->files.at(1).name, "usage-2026-11.db");
    EXPECT_EQ(read->audit.num_links, 5);
}

TEST(BackupManifest, NonsenseIsNamed) {
    EXPECT_EQ(refusal("/revision", 13), "accepted");
    EXPECT_NE(refusal("/format", 2).find("'format' expected 1 to 1"), std::string::npos);
    EXPECT_NE(refusal("/store_id", nullptr).find("store_id"), std::string::npos);
    EXPECT_NE(refusal("/schemas/usage", 0).find("usage"), std::string::npos);
    EXPECT_NE(refusal("/ledger/head", "short").find("64 hexadecimal"), std::string::npos);
    EXPECT_NE(refusal("/files", json::object()).find("files"), std::string::npos);
    EXPECT_NE(refusal("/files/0/sha256", "x").find("64 hexadecimal"), std::string::npos);
    EXPECT_NE(refusal("/files/0/size_bytes", -1).find("size_bytes"), std::string::npos);
    for (const char* name : {"", "../control.db", "a/b", ".hidden"})
        EXPECT_NE(refusal("/files/0/name", name).find("name of a file"), std::string::npos) << name;
    EXPECT_FALSE(parse_backup_manifest("no JSON").has_value());
}

}  // namespace
}  // namespace turnpike::controlplane
