#include "controlplane/cli/completion.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace turnpike::controlplane::cli {
namespace {

struct Word {
    std::string text;
    std::string help;
};

// A flag that takes a value.
struct ValueFlag {
    std::vector<std::string> names;
    std::vector<std::string> choices;  // empty: any
    bool is_path = false;
    bool takes_many = false;
};

// What can stand behind a verb. Its place is the verbs before it, each with a space ahead:
// " org create"; empty at the top.
struct Node {
    std::string place;
    std::vector<Word> words;
    std::vector<ValueFlag> value_flags;
    bool takes_path = false;  // a file or folder, without a flag
};

// "{bash,zsh}" in a type's name, as CLI::IsMember writes it.
std::vector<std::string> choices_of(const std::string& type_name) {
    const std::size_t begin = type_name.find('{');
    const std::size_t end = type_name.find('}', begin);
    std::vector<std::string> choices;
    if (begin == std::string::npos || end == std::string::npos) return choices;
    std::string_view rest(type_name);
    rest = rest.substr(begin + 1, end - begin - 1);
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        choices.emplace_back(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return choices;
}

bool is_path(const std::string& type_name) {
    return type_name == "FILE" || type_name == "DIR" || type_name.ends_with(":FILE") ||
           type_name.ends_with(":DIR") || type_name.starts_with("PATH");
}

std::vector<std::string> verb_names(const CLI::App& verb) {
    std::vector<std::string> names{verb.get_name()};
    for (const std::string& alias : verb.get_aliases()) names.push_back(alias);
    return names;
}

std::vector<std::string> names_of(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option.get_snames()) names.push_back("-" + name);
    return names;
}

void add_option(const CLI::Option& option, Node& node) {
    const std::string type_name = option.get_type_name();
    const std::vector<std::string> choices = choices_of(type_name);
    const std::vector<std::string> names = names_of(option);
    if (names.empty()) {
        for (const std::string& choice : choices) node.words.push_back({choice, ""});
        node.takes_path = node.takes_path || is_path(type_name);
        return;
    }
    for (const std::string& name : names) node.words.push_back({name, option.get_description()});
    if (option.get_items_expected_max() > 0) {
        node.value_flags.push_back(
            {names, choices, is_path(type_name), option.get_items_expected_max() > 1});
    }
}

void collect(const CLI::App& app, const std::string& place, std::vector<Node>& nodes) {
    Node node;
    node.place = place;
    std::vector<const CLI::App*> verbs;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (verb->get_name().empty() || verb->get_group().empty()) continue;  // hidden
        verbs.push_back(verb);
        for (const std::string& name : verb_names(*verb))
            node.words.push_back({name, verb->get_description()});
    }
    for (const CLI::Option* option : app.get_options()) add_option(*option, node);
    nodes.push_back(std::move(node));
    for (const CLI::App* verb : verbs) {
        for (const std::string& name : verb_names(*verb)) collect(*verb, place + " " + name, nodes);
    }
}

std::vector<Node> nodes_of(const CLI::App& app) {
    std::vector<Node> nodes;
    collect(app, "", nodes);
    return nodes;
}

// In single quotes, as both shells read it.
std::string in_quotes(std::string_view text) {
    std::string result = "'";
    for (const char c : text) {
        if (c == '\'') {
            result += "'\\''";
        } else {
            result += c;
        }
    }
    return result + "'";
}

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
    return text;
}

std::string patterns(const std::string& place, const std::vector<std::string>& names) {
    std::vector<std::string> all;
    all.reserve(names.size());
    for (const std::string& name : names) all.push_back(in_quotes(place + " " + name));
    return joined(all, "|");
}

// The part of the loop that both shells share: which verb the words before the cursor lead to, and
// whether the last of them is a flag whose value is wanted (skip: 1 one value, 2 any number).
std::string walk(const std::vector<Node>& nodes) {
    std::string verbs;
    std::string one;
    std::string many;
    for (const Node& node : nodes) {
        if (!node.place.empty()) verbs += (verbs.empty() ? "" : "|") + in_quotes(node.place);
        for (const ValueFlag& flag : node.value_flags) {
            std::string& to = flag.takes_many ? many : one;
            to += (to.empty() ? "" : "|") + patterns(node.place, flag.names);
        }
    }
    std::string text;
    text += "        if [[ $skip != 0 && $word != -* ]]; then\n";
    text += "            [[ $skip == 2 || $word == '=' ]] || skip=0\n";
    text += "            continue\n";
    text += "        fi\n";
    text += "        skip=0\n";
    text += "        case \"$verb $word\" in\n";
    if (!verbs.empty()) text += "            " + verbs + ") verb=\"$verb $word\" ;;\n";
    if (!one.empty()) text += "            " + one + ") skip=1; flag=$word ;;\n";
    if (!many.empty()) text += "            " + many + ") skip=2; flag=$word ;;\n";
    text += "        esac\n";
    return text;
}

std::string bash_values(const std::vector<Node>& nodes) {
    std::string text;
    for (const Node& node : nodes) {
        for (const ValueFlag& flag : node.value_flags) {
            const std::string pattern = "            " + patterns(node.place, flag.names) + ") ";
            if (!flag.choices.empty())
                text += pattern + "words=" + in_quotes(joined(flag.choices, " ")) + " ;;\n";
            if (flag.is_path) text += pattern + "compopt -o default; return ;;\n";
        }
    }
    return text;
}

std::string bash_words(const std::vector<Node>& nodes) {
    std::string text;
    for (const Node& node : nodes) {
        std::vector<std::string> words;
        words.reserve(node.words.size());
        for (const Word& word : node.words) words.push_back(word.text);
        text += "            " + in_quotes(node.place) + ") words=" + in_quotes(joined(words, " "));
        if (node.takes_path) text += "; [[ $word == -* ]] || compopt -o default";
        text += " ;;\n";
    }
    return text;
}

// "name:help" as _describe reads it: colons of a name would end it.
std::string zsh_entry(const Word& word) {
    std::string text;
    for (const char c : word.text) text += c == ':' ? std::string("\\:") : std::string(1, c);
    return in_quotes(word.help.empty() ? text : text + ":" + word.help);
}

std::string zsh_values(const std::vector<Node>& nodes) {
    std::string text;
    for (const Node& node : nodes) {
        for (const ValueFlag& flag : node.value_flags) {
            const std::string pattern = "            " + patterns(node.place, flag.names) + ") ";
            if (!flag.choices.empty())
                text += pattern + "entries=(" + joined(flag.choices, " ") + ") ;;\n";
            if (flag.is_path) text += pattern + "_files; return ;;\n";
        }
    }
    return text;
}

std::string zsh_words(const std::vector<Node>& nodes) {
    std::string text;
    for (const Node& node : nodes) {
        std::vector<std::string> entries;
        entries.reserve(node.words.size());
        for (const Word& word : node.words) entries.push_back(zsh_entry(word));
        text += "            " + in_quotes(node.place) + ")\n                entries=(" +
                joined(entries, "\n                    ") + ")";
        if (node.takes_path) text += "\n                _files";
        text += " ;;\n";
    }
    return text;
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
    const std::vector<Node> nodes = nodes_of(app);
    const std::string& name = app.get_name();
    std::string text =
        "# Completes `" + name + "` in bash; made by `" + name + " completion bash`.\n";
    text += "_" + name + "() {\n";
    text += "    local verb= flag= word= words= skip=0 i\n";
    text += "    COMPREPLY=()\n";
    text += "    for ((i = 1; i < COMP_CWORD; i++)); do\n";
    text += "        word=${COMP_WORDS[i]}\n";
    text += walk(nodes);
    text += "    done\n";
    text += "    word=${COMP_WORDS[COMP_CWORD]}\n";
    text += "    if [[ $skip != 0 && $word != -* ]]; then\n";
    text += "        [[ $word == '=' ]] && word=\n";
    text += "        case \"$verb $flag\" in\n" + bash_values(nodes);
    text += "            *) return ;;\n";
    text += "        esac\n";
    text += "    else\n";
    text += "        case \"$verb\" in\n" + bash_words(nodes) + "        esac\n";
    text += "    fi\n";
    text += "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n";
    text += "}\n";
    text += "complete -F _" + name + " " + name + "\n";
    return text;
}

std::string zsh_completion(const CLI::App& app) {
    const std::vector<Node> nodes = nodes_of(app);
    const std::string& name = app.get_name();
    std::string text = "#compdef " + name + "\n# Completes `" + name + "` in zsh; made by `" +
                       name + " completion zsh`.\n";
    text += "_" + name + "() {\n";
    text += "    local verb= flag= word= skip=0 i\n";
    text += "    local -a entries\n";
    text += "    for ((i = 2; i < CURRENT; i++)); do\n";
    text += "        word=${words[i]}\n";
    text += walk(nodes);
    text += "    done\n";
    text += "    word=${words[CURRENT]}\n";
    text += "    if [[ $skip != 0 && $word != -* ]]; then\n";
    text += "        case \"$verb $flag\" in\n" + zsh_values(nodes);
    text += "            *) return ;;\n";
    text += "        esac\n";
    text += "    else\n";
    text += "        case \"$verb\" in\n" + zsh_words(nodes) + "        esac\n";
    text += "    fi\n";
    text += "    _describe '" + name + "' entries\n";
    text += "}\n";
    text += "if [[ ${funcstack[1]} == _" + name + " ]]; then\n    _" + name +
            "\nelse\n    compdef _" + name + " " + name + "\nfi\n";
    return text;
}

}  // namespace turnpike::controlplane::cli
