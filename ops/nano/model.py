"""DeepSeek-V3's architecture as functions over flat rows, for training. Shapes: T rows of a batch, H hidden.

A batch is documents of about equal length in groups, so attention needs no mask but the causal one, and
everything else runs over all T rows at once. Experts are computed densely and gated by the router: at this
size that is quicker than gathering, and the gradient is the same.
"""

import torch
import torch.nn.functional as F

CONFIG = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "ep_size": 1,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "kv_lora_rank": 128,
    "max_position_embeddings": 4096,
    "moe_intermediate_size": 64,
    "moe_layer_freq": 1,
    "n_group": 4,
    "n_routed_experts": 16,
    "n_shared_experts": 2,
    "norm_topk_prob": True,
    "num_attention_heads": 8,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 8,
    "num_key_value_heads": 8,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 128,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "quantization_config": {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    },
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 2,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "v_head_dim": 64,
    "vocab_size": 2560,
}
C = CONFIG
HEADS, NOPE, ROPE, V = (
    C["num_attention_heads"],
    C["qk_nope_head_dim"],
    C["qk_rope_head_dim"],
    C["v_head_dim"],
)
EXPERTS, GROUPS, KEPT, CHOSEN = C["n_routed_experts"], C["n_group"], C["topk_group"], C["num_experts_per_tok"]
LAYERS, H, LATENT, WIDTH = C["num_hidden_layers"], C["hidden_size"], C["kv_lora_rank"], C["moe_intermediate_size"]
EPS = C["rms_norm_eps"]
BLOCK = 128
FP8_MAX = 448.0


def shapes():
    """Every trained tensor by its name in the checkpoint; the experts of a layer are one stacked tensor here."""
    out = {"model.embed_tokens.weight": (C["vocab_size"], H)}
    for i in range(LAYERS + 1):
        p = f"model.layers.{i}."
        a = p + "self_attn."
        out[p + "input_layernorm.weight"] = (H,)
        out[p + "post_attention_layernorm.weight"] = (H,)
        out[a + "q_a_proj.weight"] = (C["q_lora_rank"], H)
        out[a + "q_a_layernorm.weight"] = (C["q_lora_rank"],)
        out[a + "q_b_proj.weight"] = (HEADS * (NOPE + ROPE), C["q_lora_rank"])
        out[a + "kv_a_proj_with_mqa.weight"] = (LATENT + ROPE, H)
        out[a + "kv_a_layernorm.weight"] = (LATENT,)
        out[a + "kv_b_proj.weight"] = (HEADS * (NOPE + V), LATENT)
        out[a + "o_proj.weight"] = (H, HEADS * V)
        m = p + "mlp."
        if i < C["first_k_dense_replace"]:
            out |= mlp_shapes(m, C["intermediate_size"])
            continue
        out[m + "gate.weight"] = (EXPERTS, H)
        out[m + "experts.gate_proj.weight"] = (EXPERTS, WIDTH, H)
        out[m + "experts.up_proj.weight"] = (EXPERTS, WIDTH, H)
        out[m + "experts.down_proj.weight"] = (EXPERTS, H, WIDTH)
        out |= mlp_shapes(m + "shared_experts.", WIDTH * C["n_shared_experts"])
    out["model.norm.weight"] = (H,)
    out["lm_head.weight"] = (C["vocab_size"], H)
    p = f"model.layers.{LAYERS}."
    for name in ("enorm", "hnorm", "shared_head.norm"):
        out[p + name + ".weight"] = (H,)
    out[p + "eh_proj.weight"] = (H, 2 * H)
    return out


def mlp_shapes(prefix, width):
    return {
        prefix + "gate_proj.weight": (width, H),
        prefix + "up_proj.weight": (width, H),
        prefix + "down_proj.weight": (H, width),
    }


def is_norm(name):
    return "norm.weight" in name


def is_fp8(name):
    """Whether the checkpoint holds this tensor as FP8 with block scales."""
    kept = ("embed_tokens", "lm_head", "mlp.gate.weight", "eh_proj")
    return not is_norm(name) and not any(k in name for k in kept)


def initial(seed, device):
    generator = torch.Generator().manual_seed(seed)
    params = {}
    for name, shape in shapes().items():
        if is_norm(name):
            value = torch.ones(shape)
        else:
            value = torch.randn(shape, generator=generator) * shape[-1] ** -0.5
            if "o_proj" in name or "down_proj" in name:
                value *= (2 * LAYERS) ** -0.5
            if "embed_tokens" in name:
                value *= 0.5
        params[name] = value.to(device).requires_grad_()
    return params


def initial_biases(device):
    return {i: torch.zeros(EXPERTS, device=device) for i in range(C["first_k_dense_replace"], LAYERS + 1)}


def block_scales(weight):
    """(weight padded to whole blocks, as [..., rows/128, 128, cols/128, 128]; one scale per block)."""
    rows, cols = weight.shape[-2:]
    padded = F.pad(weight, (0, -cols % BLOCK, 0, -rows % BLOCK))
    tiles = padded.unflatten(-1, (-1, BLOCK)).unflatten(-3, (-1, BLOCK))
    scales = tiles.abs().amax(dim=(-3, -1), keepdim=True).clamp(min=1e-12) / FP8_MAX
    return tiles, scales


def to_fp8(weight):
    """(codes as float8_e4m3fn [rows, cols], scales f32 [rows/128, cols/128])."""
    tiles, scales = block_scales(weight.float())
    codes = (tiles / scales).to(torch.float8_e4m3fn).float().flatten(-2).flatten(-3, -2)
    codes = codes[..., : weight.shape[-2], : weight.shape[-1]].to(torch.float8_e4m3fn)
    return codes.contiguous(), scales.squeeze(-1).squeeze(-2)


def from_fp8(codes, scales):
    """The weight that FP8 codes [rows, cols] and their block scales stand for, f32."""
    wide = scales.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return codes.float() * wide[: codes.shape[0], : codes.shape[1]]


def rounded(weight):
    """The weight as FP8 holds it; the gradient passes as if nothing were rounded."""
    with torch.no_grad():
        tiles, scales = block_scales(weight)
        held = ((tiles / scales).to(torch.float8_e4m3fn).to(weight.dtype) * scales).flatten(-2).flatten(-3, -2)
        delta = held[..., : weight.shape[-2], : weight.shape[-1]] - weight
    return weight + delta


def compute_weights(params, is_quantised, dtype=torch.bfloat16):
    out = {}
    for name, value in params.items():
        if is_norm(name) or "mlp.gate.weight" in name:
            out[name] = value
        else:
            out[name] = (rounded(value) if is_quantised and is_fp8(name) else value).to(dtype)
    return out


def rms_norm(x, weight):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS) * weight).to(x.dtype)


def rotate(x, cos, sin):
    """Pairs (x0, x1), (x2, x3), … by one frequency each. The order of the result is free: it is only multiplied."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.cat((even * cos - odd * sin, even * sin + odd * cos), -1).to(x.dtype)


def rope_tables(positions):
    frequencies = C["rope_theta"] ** (-torch.arange(0, ROPE, 2, device=positions.device).float() / ROPE)
    angles = positions.float()[:, None] * frequencies
    return angles.cos(), angles.sin()


def before_attention(x, cos, sin, norm, q_a, q_norm, q_b, kv_a, kv_norm, kv_b):
    """x [T, H] → q, k, v, each [T, heads, 64]."""
    normed = rms_norm(x, norm)
    q = F.linear(rms_norm(F.linear(normed, q_a), q_norm), q_b).unflatten(-1, (HEADS, NOPE + ROPE))
    latent, k_rope = F.linear(normed, kv_a).split([LATENT, ROPE], -1)
    kv = F.linear(rms_norm(latent, kv_norm), kv_b).unflatten(-1, (HEADS, NOPE + V))
    q = torch.cat((q[..., :NOPE], rotate(q[..., NOPE:], cos[:, None], sin[:, None])), -1)
    k_rope = rotate(k_rope, cos, sin)[:, None].expand(-1, HEADS, -1)
    return q, torch.cat((kv[..., :NOPE], k_rope), -1), kv[..., NOPE:].contiguous()


def attend(q, k, v, groups):
    """groups: (documents, padded length) of each, in the order of the rows. Returns [T, heads*64]."""
    outs, first = [], 0
    for count, length in groups:
        part = slice(first, first + count * length)
        first = part.stop
        views = [t[part].view(count, length, HEADS, -1).transpose(1, 2) for t in (q, k, v)]
        out = F.scaled_dot_product_attention(*views, is_causal=True)
        outs.append(out.transpose(1, 2).reshape(count * length, HEADS * V))
    if first < q.shape[0]:
        outs.append(v[first:].reshape(-1, HEADS * V))
    return torch.cat(outs)


def swiglu(x, gate, up, down):
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def after_dense(x, attended, o, norm, gate, up, down):
    x = x + F.linear(attended, o)
    return x + swiglu(rms_norm(x, norm), gate, up, down)


def route(normed, weight, bias):
    """[T, H] → weights [T, experts], 0 where an expert is not chosen: sigmoid scores, group-limited, as in V3."""
    scores = F.linear(normed.float(), weight).sigmoid()
    with torch.no_grad():
        choice = scores + bias
        by_group = choice.unflatten(-1, (GROUPS, -1))
        best = by_group.topk(2, -1).values.sum(-1)
        kept = best >= best.topk(KEPT, -1).values[:, -1:]
        choice = by_group.masked_fill(~kept[..., None], -1e9).flatten(-2)
        mask = choice >= choice.topk(CHOSEN, -1).values[:, -1:]
    chosen = scores * mask
    weights = chosen / (chosen.sum(-1, keepdim=True) + 1e-20) * C["routed_scaling_factor"]
    return weights, mask.float()


def after_moe(x, attended, is_real, o, norm, router, bias, e_gate, e_up, e_down, gate, up, down):
    x = x + F.linear(attended, o)
    normed = rms_norm(x, norm)
    weights, mask = route(normed, router, bias)
    inner = F.silu(F.linear(normed, e_gate.flatten(0, 1))) * F.linear(normed, e_up.flatten(0, 1))
    inner = (inner.unflatten(-1, (EXPERTS, WIDTH)) * weights[..., None].to(inner.dtype)).flatten(-2)
    routed = F.linear(inner, e_down.permute(1, 0, 2).flatten(1))
    return x + routed + swiglu(normed, gate, up, down), (mask * is_real[:, None]).sum(0)


def head_loss(x, norm, head, targets):
    """(summed cross entropy over the rows with a target, how many the arg max gets right)."""
    logits = F.linear(rms_norm(x, norm), head).float()
    loss = F.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
    return loss, (logits.detach().argmax(-1) == targets).sum()


def join(embedded, output, enorm, hnorm, eh):
    return F.linear(torch.cat((rms_norm(embedded, enorm), rms_norm(output, hnorm)), -1), eh)


class Network:
    """The functions, compiled or not."""

    def __init__(self, is_compiled):
        wrap = (lambda f: torch.compile(f, dynamic=False)) if is_compiled else (lambda f: f)
        self.before = wrap(before_attention)
        self.dense = wrap(after_dense)
        self.moe = wrap(after_moe)
        self.loss = wrap(head_loss)
        self.norm = wrap(rms_norm)
        self.join = wrap(join)

    def layer(self, i, x, w, biases, batch, rope, loads):
        p = f"model.layers.{i}."
        a, m = p + "self_attn.", p + "mlp."
        q, k, v = self.before(
            x,
            *rope,
            w[p + "input_layernorm.weight"],
            w[a + "q_a_proj.weight"],
            w[a + "q_a_layernorm.weight"],
            w[a + "q_b_proj.weight"],
            w[a + "kv_a_proj_with_mqa.weight"],
            w[a + "kv_a_layernorm.weight"],
            w[a + "kv_b_proj.weight"],
        )
        attended = attend(q, k, v, batch["groups"])
        rest = [w[a + "o_proj.weight"], w[p + "post_attention_layernorm.weight"]]
        projections = [f"{n}_proj.weight" for n in ("gate", "up", "down")]
        if i < C["first_k_dense_replace"]:
            return self.dense(x, attended, *rest, *[w[m + n] for n in projections])
        x, loads[i] = self.moe(
            x,
            attended,
            batch["is_real"],
            *rest,
            w[m + "gate.weight"],
            biases[i],
            *[w[m + "experts." + n] for n in projections],
            *[w[m + "shared_experts." + n] for n in projections],
        )
        return x

    def forward(self, w, biases, batch):
        """Returns (loss sum, right, draft loss sum, draft right, expert loads by layer)."""
        loads = {}
        embedding = w["model.embed_tokens.weight"]
        rope = rope_tables(batch["positions"])
        x = F.embedding(batch["tokens"], embedding)
        for i in range(LAYERS):
            x = self.layer(i, x, w, biases, batch, rope, loads)
        final, head = w["model.norm.weight"], w["lm_head.weight"]
        loss, right = self.loss(x, final, head, batch["targets"])
        p = f"model.layers.{LAYERS}."
        after = F.embedding(batch["next_tokens"], embedding)
        names = ("enorm", "hnorm", "eh_proj")
        x = self.join(after, self.norm(x, final), *[w[p + n + ".weight"] for n in names])
        x = self.layer(LAYERS, x, w, biases, batch, rope, loads)
        draft_loss, draft_right = self.loss(x, w[p + "shared_head.norm.weight"], head, batch["draft_targets"])
        return loss, right, draft_loss, draft_right, loads
