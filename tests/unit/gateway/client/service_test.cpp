// Flags, variables, and what is missing.
#include "gateway/client/service.h"

#include <gtest/gtest.h>

#include <map>

namespace turnpike::gateway::client {
namespace {

using Variables = std::map<std::string, std::string>;

const Variables kAll = {{"TURNPIKE_BASE_URL", "https://localhost:8443/v1/"},
                        {"TURNPIKE_API_KEY", "tp_live_x"},
                        {"TURNPIKE_CA_CERT", "/ca.crt"}};

Result<Service> find(const ServiceFlags& flags, Variables variables) {
    return find_service(flags, [&](const char* name) { return std::string(variables[name]); });
}

TEST(FindService, ReadsTheEnvironment) {
    const Service service = find({}, kAll).value();
    EXPECT_EQ(service.options.address.host, "localhost");
    EXPECT_EQ(service.options.address.port, 8443);
    EXPECT_TRUE(service.options.use_tls);
    EXPECT_EQ(service.options.ca_file, "/ca.crt");
    EXPECT_EQ(service.path, "/v1");
    EXPECT_EQ(service.api_key.reveal(), "tp_live_x");
}

TEST(FindService, FlagsWin) {
    const Service service = find({"http://h:1", "k", "/other.crt"}, kAll).value();
    EXPECT_EQ(service.base_url, "http://h:1");
    EXPECT_FALSE(service.options.use_tls);
    EXPECT_EQ(service.path, "");
    EXPECT_EQ(service.options.ca_file, "/other.crt");
    EXPECT_EQ(service.api_key.reveal(), "k");
}

TEST(FindService, SaysWhatIsMissing) {
    for (const char* name : {"TURNPIKE_BASE_URL", "TURNPIKE_API_KEY"}) {
        Variables variables = kAll;
        variables.erase(name);
        const auto found = find({}, variables);
        ASSERT_FALSE(found);
        EXPECT_NE(found.error().message.find(name), std::string::npos);
        EXPECT_NE(found.error().message.find(". .turnpike/env"), std::string::npos);
    }
    Variables variables = kAll;
    variables.erase("TURNPIKE_CA_CERT");
    EXPECT_EQ(find({}, variables).value().options.ca_file, "");
}

TEST(FindService, RefusesWhatIsMalformedWithoutShowingTheKey) {
    EXPECT_FALSE(find({"localhost:8443", "", ""}, kAll));
    for (const char* key : {"two words", "line\r\nx-evil: 1", "\xc3\xa9"}) {
        const auto found = find({"", key, ""}, kAll);
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().message.find(key), std::string::npos);
    }
}

}  // namespace
}  // namespace turnpike::gateway::client
