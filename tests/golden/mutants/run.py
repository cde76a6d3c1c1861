"""Plants one error at a time and sees the named test fail: what the tests of exactness are worth.

    python3 tests/golden/mutants/run.py [--tree FOLDER] [NAME ...]

Works on a copy of the tree in a temporary folder, so the working tree stays as it is; --tree keeps
the copy, and its build, for the next run. Each mutant
replaces one text in one file, rebuilds one test and expects the filtered cases to fail; before, the
same cases pass unchanged. Prints a table and exits 1 when a mutant survives. Takes some minutes: no
part of the normal suite. ops/docs/mutants.md has the last table.
"""

import argparse
import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = "golden_logits"
MATCH = "Cases/Logits.MatchTheIndependentImplementation/"
INSIDE = "Cases/Layers.MatchTheIndependentImplementation/"
TEXT = "unit_engine_text"
MODEL = "unit_engine_model"

# name: (file, text, replacement, test binary, its filter)
MUTANTS = {
    "attn_factor ignored": (
        "engine/model/qwen3_config.cpp",
        'const double attn_factor = optional_number(scaling, "attn_factor", 1.0);',
        "const double attn_factor = 1.0;",
        GOLDEN,
        MATCH + "qwen3_distill",
    ),
    "rope half-split for MLA": (
        "kernels/cpu/reference/backend.cpp",
        "if (columns.pairs == RopePairs::kHalves) {",
        "if (true) {",
        GOLDEN,
        MATCH + "deepseek_v3_tiny",
    ),
    "rope interleaved for Qwen3": (
        "kernels/cpu/reference/backend.cpp",
        "if (columns.pairs == RopePairs::kHalves) {",
        "if (false) {",
        GOLDEN,
        MATCH + "qwen3_plain",
    ),
    "softmax scale without mscale squared": (
        "engine/model/deepseek_config.cpp",
        "static_cast<float>(mscale * mscale / std::sqrt(query_dim))",
        "static_cast<float>(mscale / std::sqrt(query_dim))",
        GOLDEN,
        MATCH + "deepseek_v3_tiny",
    ),
    "router weights from biased scores": (
        "kernels/cpu/reference/moe.cpp",
        "scores[e] = 1.0F / (1.0F + std::exp(-logits[e]));\n"
        "        biased[e] = scores[e] + bias[e];",
        "scores[e] = 1.0F / (1.0F + std::exp(-logits[e])) + bias[e];\n"
        "        biased[e] = scores[e];",
        GOLDEN,
        MATCH + "deepseek_v3_tiny",
    ),
    "router bias left out of the selection": (
        "kernels/cpu/reference/moe.cpp",
        "biased[e] = scores[e] + bias[e];",
        "biased[e] = scores[e] + 0.0F * bias[e];",
        GOLDEN,
        MATCH + "deepseek_v3_tiny",
    ),
    "excluded groups masked with zero": (
        "kernels/cpu/reference/moe.cpp",
        "if (!is_kept[e / static_cast<std::size_t>(size)]) scores[e] = kExcluded;",
        "if (!is_kept[e / static_cast<std::size_t>(size)]) scores[e] = 0.0F;",
        "unit_kernels_cpu_reference",
        "*oute*",
    ),
    "scale block of the row before": (
        "kernels/cpu/reference/weights.cpp",
        "const std::int64_t scale_row = r / kFp8Block * scale_cols;",
        "const std::int64_t scale_row = r / 192 * scale_cols;",
        GOLDEN,
        MATCH + "deepseek_v3_tiny",
    ),
    "scale columns rounded down": (
        "kernels/cpu/reference/weights.cpp",
        "return (count + kFp8Block - 1) / kFp8Block;",
        "return std::max<std::int64_t>(count / kFp8Block, 1);",
        "unit_kernels_cpu_reference",
        "Dequantise.*",
    ),
    "no bound under the activation scale": (
        "kernels/api/fp8.h",
        "constexpr float kSmallestMaximum = 1e-4F;",
        "constexpr float kSmallestMaximum = 0.0F;",
        "unit_kernels_cpu_reference",
        "Linear.QuantisesActivations*",
    ),
    "draft: hidden half first": (
        "engine/model/deepseek_model.cpp",
        "*draft_->embedding_norm, epsilon, joined.col_range(0, width)",
        "*draft_->embedding_norm, epsilon, joined.col_range(width, width)",
        GOLDEN,
        MATCH + "deepseek_v3_tiny_mtp",
    ),
    "no norm over Qwen3's keys": (
        "engine/model/qwen3_model.cpp",
        "norm_and_rotate(keys, shape.num_kv_heads, layer.k_norm, rope);",
        "norm_and_rotate(keys, 1, layer.k_norm, rope);",
        GOLDEN,
        MATCH + "qwen3_plain",
    ),
    "rope positions in float": (
        "kernels/api/rope.cpp",
        "const double angle = static_cast<double>(position) * frequency;",
        "const double angle = static_cast<float>(position) * static_cast<float>(frequency);",
        "unit_kernels_api",
        "*ope*",
    ),
    "padding rows of the head sampled": (
        "kernels/cpu/reference/backend.cpp",
        "{row, static_cast<std::size_t>(num_tokens)}",
        "{row, static_cast<std::size_t>(logits.cols)}",
        "unit_kernels_cpu_reference",
        "ReferenceBackend.*",
    ),
    "MLA's cosines and sines scaled by mscale": (
        "engine/model/deepseek_model.cpp",
        "make_rope_rows(rope_frequencies_, rows.positions);\n"
        "    const MatrixView hidden",
        "make_rope_rows(rope_frequencies_, rows.positions, 1.3688879454);\n"
        "    const MatrixView hidden",
        GOLDEN,
        MATCH + "deepseek_v3_tiny",
    ),
    "YaRN's frequencies left as they are": (
        "kernels/api/rope.cpp",
        "const bool is_scaled = params.factor > 1.0;",
        "const bool is_scaled = params.factor > 1e9;",
        GOLDEN,
        MATCH + "qwen3_far",
    ),
    "latents' norms with the config's epsilon": (
        "engine/model/deepseek_model.cpp",
        "backend_.rms_norm(latent, *weights.kv_a_norm, kLatentEpsilon, latent);",
        "backend_.rms_norm(latent, *weights.kv_a_norm, config_.rms_epsilon, latent);",
        GOLDEN,
        MATCH + "deepseek_v3_odd",
    ),
    "groups ranked by their best expert": (
        "kernels/cpu/reference/moe.cpp",
        "sums.push_back(best + second);",
        "sums.push_back(best + 0.0F * second);",
        GOLDEN,
        INSIDE + "deepseek_v3_groups",
    ),
    "shared expert scaled as the routed ones": (
        "kernels/cpu/reference/moe.cpp",
        "to[c] += sum + always[c];",
        "to[c] += sum + 2.5F * always[c];",
        GOLDEN,
        INSIDE + "deepseek_v3_tiny",
    ),
    "spaces swallowed by the tokenizer": (
        "engine/text/byte_level.cpp",
        "    for (const char c : bytes) {\n",
        "    for (const char c : bytes) {\n        if (c == ' ') continue;\n",
        TEXT,
        "Tokenizer.*",
    ),
    "tools left out of the prompt": (
        "engine/text/chat_template.cpp",
        "if (!tools.empty()) describe",
        "if (tools.size() > 99) describe",
        TEXT,
        "ChatTemplate.*",
    ),
    "a token that the tokenizer lacks dropped": (
        "engine/text/chat_template.cpp",
        "            plain += piece.text;",
        "            if (!piece.is_template) plain += piece.text;",
        TEXT,
        "ChatTemplate.*",
    ),
    "assistant opened only when asked": (
        "engine/text/chat_template.cpp",
        "        token(special::kAssistant);\n        opens_assistant_ = true;",
        "        opens_assistant_ = false;",
        TEXT,
        "ChatTemplate.*",
    ),
    "assistant opened after tool results": (
        "engine/text/chat_template.cpp",
        "if (close_outputs()) return;",
        "close_outputs();",
        TEXT,
        "ChatTemplate.*",
    ),
    "two BOS": (
        "engine/text/chat_template.cpp",
        "    std::vector<TokenId> tokens;\n    std::string plain;",
        "    std::vector<TokenId> tokens{tokenizer.find_special(special::kBos).value()};\n"
        "    std::string plain;",
        TEXT,
        "ChatTemplate.*",
    ),
    "thinking opened for the model": (
        "engine/text/chat_template.cpp",
        "        token(special::kAssistant);\n        opens_assistant_ = true;",
        "        token(special::kAssistant);\n        plain(\"<think>\\n\");\n"
        "        opens_assistant_ = true;",
        TEXT,
        "ChatTemplate.*",
    ),
    "the weekday of the model card's example": (
        "engine/text/prompt_wording.cpp",
        "words.weekdays[weekday.c_encoding()]",
        "words.weekdays[(weekday.c_encoding() + 5) % 7]",
        TEXT,
        "PromptWording.*",
    ),
    "an odd number of heads on a rank": (
        "engine/model/deepseek_blueprint.cpp",
        "config_.is_fp8 ? kernels::kFp8Block /",
        "config_.vocab_size < 0 ? kernels::kFp8Block /",
        MODEL,
        "MemoryPlan.*",
    ),
    "head_dim from the hidden size": (
        "engine/model/qwen3_config.cpp",
        ": kHeadDim;",
        ": kHeadDim * 0 + config.hidden_size / shape.num_heads;",
        MODEL,
        "Qwen3Config.*",
    ),
}


def build(tree, test):
    command = ["cmake", "--build", "build/dev", "-j2", "--target", test]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    return done.returncode == 0, done.stdout[-2000:]


def failures(tree, test, cases):
    """Names of the failed cases; what does not run at all counts as no failure."""
    command = [f"build/dev/tests/{test}", f"--gtest_filter={cases}"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if done.returncode < 0:
        return ["(process ended)"]
    if "[  PASSED  ] 0 tests" in done.stdout and done.returncode == 0:
        raise SystemExit(f"{test}: no case matches {cases}")
    lines = done.stdout.split("tests, listed below:")[-1].split("\n")
    found = [line.split("]")[1].split(",")[0].strip() for line in lines if "[  FAILED  ]" in line]
    return sorted({name.split(" (")[0] for name in found if "." in name})


@contextlib.contextmanager
def copied_tree(kept):
    if kept is not None and kept.exists():
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = kept or pathlib.Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git"))
        yield tree


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=pathlib.Path, help="folder for the copy, kept")
    parser.add_argument("names", nargs="*", default=list(MUTANTS))
    arguments = parser.parse_args()
    survivors = []
    with copied_tree(arguments.tree) as tree:
        subprocess.run(["cmake", "--preset", "dev"], cwd=tree, check=True, capture_output=True)
        for name in arguments.names:
            file, text, replacement, test, cases = MUTANTS[name]
            path = tree / file
            original = path.read_text()
            assert original.count(text) == 1, f"{name}: {file} holds another text"
            is_built, log = build(tree, test)
            assert is_built and not failures(tree, test, cases), f"{name}: not green before\n{log}"
            path.write_text(original.replace(text, replacement))
            is_built, log = build(tree, test)
            assert is_built, f"{name}: does not build\n{log}"
            failed = failures(tree, test, cases)
            path.write_text(original)
            if not failed:
                survivors.append(name)
            print(f"| {name} | {', '.join(failed) or 'SURVIVED'} |", flush=True)
    if survivors:
        sys.exit(f"survived: {', '.join(survivors)}")


if __name__ == "__main__":
    main()
