#include "controlplane/api/backup_manifest.h"

#include <limits>

#include "controlplane/api/json_fields.h"

namespace turnpike::controlplane {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kHashDigits = 64;

bool is_hash(const std::string& text) {
    return text.size() == kHashDigits &&
           text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string hash_of(JsonFields& fields, const char* key) {
    std::string hash = fields.text(key);
    if (!is_hash(hash))
        fields.fail(std::string("'") + key + "' expected 64 hexadecimal digits, found '" +
                    excerpt(hash) + "'");
    return hash;
}

Result<BackupFile> read_file_row(const json& object) {
    JsonFields fields(object, "file of a backup");
    BackupFile file;
    file.name = fields.text("name");
    file.size_bytes = fields.integer("size_bytes", 0, kMax);
    file.sha256 = hash_of(fields, "sha256");
    if (file.name.empty() || file.name.find('/') != std::string::npos || file.name[0] == '.')
        fields.fail("expected the name of a file, found '" + excerpt(file.name) + "'");
    RETURN_IF_ERROR(fields.finish());
    return file;
}

Result<ChainMark> read_mark(const json& object) {
    JsonFields fields(object, "chain of a backup");
    const ChainMark mark{fields.integer("links", 0, kMax), hash_of(fields, "head")};
    RETURN_IF_ERROR(fields.finish());
    return mark;
}

ordered_json json_of(const ChainMark& mark) {
    return {{"links", mark.num_links}, {"head", mark.head}};
}

}  // namespace

std::string write_backup_manifest(const BackupManifest& manifest) {
    ordered_json files = ordered_json::array();
    for (const BackupFile& file : manifest.files) {
        files.push_back(ordered_json{
            {"name", file.name}, {"size_bytes", file.size_bytes}, {"sha256", file.sha256}});
    }
    const ordered_json schemas = {{"control", manifest.control_schema},
                                  {"usage", manifest.usage_schema}};
    const ordered_json object = {{"format", kFormat},
                                 {"store_id", manifest.store_id},
                                 {"revision", manifest.revision},
                                 {"created_at", manifest.created_at},
                                 {"schemas", schemas},
                                 {"ledger", json_of(manifest.ledger)},
                                 {"audit", json_of(manifest.audit)},
                                 {"files", files}};
    return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<BackupManifest> parse_backup_manifest(std::string_view text) {
    const auto object = parse_object(text, "backup manifest");
    RETURN_IF_ERROR(object);
    JsonFields fields(*object, "backup manifest");
    fields.integer("format", kFormat, kFormat);
    BackupManifest manifest;
    manifest.store_id = fields.text("store_id");
    manifest.revision = fields.integer("revision", 0, kMax);
    manifest.created_at = fields.text("created_at");
    JsonFields schemas(fields.object("schemas"), "backup manifest's schemas");
    manifest.control_schema = schemas.integer("control", 1, kMax);
    manifest.usage_schema = schemas.integer("usage", 1, kMax);
    const json& ledger = fields.object("ledger");
    const json& audit = fields.object("audit");
    const json& files = fields.array("files");
    RETURN_IF_ERROR(fields.finish());
    RETURN_IF_ERROR(schemas.finish());
    auto ledger_mark = read_mark(ledger);
    RETURN_IF_ERROR(ledger_mark);
    manifest.ledger = std::move(*ledger_mark);
    auto audit_mark = read_mark(audit);
    RETURN_IF_ERROR(audit_mark);
    manifest.audit = std::move(*audit_mark);
    RETURN_IF_ERROR(read_rows(files, manifest.files, read_file_row));
    return manifest;
}

}  // namespace turnpike::controlplane
