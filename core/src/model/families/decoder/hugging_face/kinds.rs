//! The kinds of networks of transformers that run here, as a table: the GGUF of the same kind says what the network does
//! differently, and this what its configuration says, and takes for what it does not say.

use super::names::{self, Names};

/// A kind of network, as `model_type` calls it.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The class with a head over the vocabulary.
    pub(super) class: &'static str,
    /// What a GGUF calls it.
    pub(super) gguf: &'static str,
    pub(super) names: &'static Names,
    /// Names that its configuration has for the usual ones.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// Where the number that is added in normalisation stands, and what it is where it does not.
    pub(super) epsilon: (&'static str, f64),
    /// Where the function inside a feed-forward layer stands.
    pub(super) function: &'static str,
    /// Heads of keys and values where they are not said; `None`: as many as of queries.
    pub(super) kv_heads: Option<usize>,
    /// Width of a head where it is not said; `None`: its share of the width.
    pub(super) head_width: Option<usize>,
    /// Whether the table of tokens is the head where that is not said.
    pub(super) tied: bool,
    pub(super) biases: Biases,
    /// Whether queries and keys are normalised.
    pub(super) head_norms: bool,
    pub(super) windows: Windows,
    /// Base of the rotary angles where it is not said.
    pub(super) base: f64,
    /// The share of a head that turns where it is not said; `None`: all of it turns.
    pub(super) turning: Option<f64>,
    pub(super) experts: Option<Experts>,
    /// The longest text where it is not said.
    pub(super) context: Option<usize>,
    /// Whether numbers that turn together stand side by side.
    pub(super) interleaved: bool,
    /// Whether the feed-forward layer is four times the width where it is not said.
    pub(super) wide: bool,
    /// Flags that are run where they are true only, and taken for true where they are not said.
    pub(super) on: &'static [&'static str],
    /// Telling keys that are read beside those of all.
    pub(super) reads: &'static [&'static str],
}

/// Which projections have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Biases {
    None,
    /// Those to queries, keys and values, where this key does not say otherwise than this.
    Queries(&'static str, bool),
    /// Those of attention, as this key says, otherwise this.
    Attention(&'static str, bool),
    /// The same, and those of the feed-forward layer always.
    Feed(&'static str, bool),
    /// All in blocks, where this key does not say otherwise than this.
    Blocks(&'static str, bool),
    /// Those of the feed-forward layer and the head's.
    FeedAndHead,
    /// All, the head's too.
    All,
}

/// Which blocks look back over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Windows {
    /// None; one that would count is refused.
    None,
    /// All, where a window is said; where the key is missing, over this many tokens.
    All(Option<usize>),
    /// Where `use_sliding_window` is true, those from `max_window_layers` on.
    From,
    /// Where `use_sliding_window` is true, all.
    Asked,
    /// All but every n-th, over this many tokens where no number is said.
    But(usize, usize),
}

/// Keys of a mixture of experts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Experts {
    /// Where their number stands.
    pub(super) count: &'static [&'static str],
    /// Where the width of one stands.
    pub(super) width: &'static str,
    /// Where the width of the one that every token visits stands.
    pub(super) shared: Option<&'static str>,
    /// Whether what the picked ones count is divided by its sum; `None`: as `norm_topk_prob` says.
    pub(super) normalised: Option<bool>,
}

const LLAMA: Kind = Kind {
    name: "llama",
    class: "LlamaForCausalLM",
    gguf: "llama",
    names: &names::USUAL,
    keys: &[],
    epsilon: ("rms_norm_eps", 1e-6),
    function: "hidden_act",
    kv_heads: None,
    head_width: None,
    tied: false,
    biases: Biases::None,
    head_norms: false,
    windows: Windows::None,
    base: 10_000.0,
    turning: None,
    experts: None,
    context: None,
    interleaved: false,
    wide: false,
    on: &["scale_attn_weights"],
    reads: &[],
};

const GEMMA: Kind = Kind {
    name: "gemma",
    class: "GemmaForCausalLM",
    gguf: "gemma",
    names: &names::GEMMA,
    kv_heads: Some(16),
    head_width: Some(256),
    tied: true,
    ..LLAMA
};

const EXPERTS: Experts = Experts {
    count: &["num_experts", "num_local_experts"],
    width: "moe_intermediate_size",
    shared: None,
    normalised: None,
};

const GPT_KEYS: &[(&str, &str)] = &[
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
    ("intermediate_size", "n_inner"),
];

pub(super) const KINDS: &[Kind] = &[
    LLAMA,
    Kind {
        name: "mistral",
        class: "MistralForCausalLM",
        kv_heads: Some(8),
        windows: Windows::All(Some(4096)),
        ..LLAMA
    },
    Kind {
        name: "qwen2",
        class: "Qwen2ForCausalLM",
        gguf: "qwen2",
        kv_heads: Some(32),
        biases: Biases::Queries("qkv_bias", true),
        windows: Windows::From,
        ..LLAMA
    },
    Kind {
        name: "qwen3",
        class: "Qwen3ForCausalLM",
        gguf: "qwen3",
        kv_heads: Some(32),
        head_width: Some(128),
        head_norms: true,
        windows: Windows::From,
        ..LLAMA
    },
    GEMMA,
    Kind {
        name: "gemma2",
        class: "Gemma2ForCausalLM",
        gguf: "gemma2",
        names: &names::GEMMA_AROUND,
        function: "hidden_activation",
        kv_heads: Some(4),
        windows: Windows::But(2, 4096),
        reads: &["attn_logit_softcapping", "final_logit_softcapping"],
        ..GEMMA
    },
    Kind {
        name: "gemma3_text",
        class: "Gemma3ForCausalLM",
        gguf: "gemma3",
        names: &names::GEMMA_AROUND,
        function: "hidden_activation",
        kv_heads: Some(4),
        head_norms: true,
        windows: Windows::But(6, 4096),
        base: 1_000_000.0,
        reads: &[
            "attn_logit_softcapping",
            "final_logit_softcapping",
            "rope_local_base_freq",
            "sliding_window_pattern",
            "_sliding_window_pattern",
        ],
        ..GEMMA
    },
    Kind {
        name: "phi3",
        class: "Phi3ForCausalLM",
        gguf: "phi3",
        names: &names::PHI3,
        epsilon: ("rms_norm_eps", 1e-5),
        windows: Windows::All(None),
        turning: Some(1.0),
        ..LLAMA
    },
    Kind {
        name: "olmo2",
        class: "Olmo2ForCausalLM",
        gguf: "olmo2",
        names: &names::AFTER,
        epsilon: ("rms_norm_eps", 1e-5),
        head_norms: true,
        ..LLAMA
    },
    Kind {
        name: "granite",
        class: "GraniteForCausalLM",
        gguf: "granite",
        reads: &[
            "embedding_multiplier",
            "logits_scaling",
            "residual_multiplier",
            "attention_multiplier",
        ],
        ..LLAMA
    },
    Kind {
        name: "smollm3",
        class: "SmolLM3ForCausalLM",
        gguf: "smollm3",
        kv_heads: Some(4),
        tied: true,
        base: 2_000_000.0,
        reads: &["no_rope_layers", "no_rope_layer_interval"],
        ..LLAMA
    },
    Kind {
        name: "stablelm",
        class: "StableLmForCausalLM",
        gguf: "stablelm",
        epsilon: ("layer_norm_eps", 1e-5),
        kv_heads: Some(32),
        biases: Biases::Queries("use_qkv_bias", false),
        turning: Some(0.25),
        ..LLAMA
    },
    Kind {
        name: "gpt2",
        class: "GPT2LMHeadModel",
        gguf: "gpt2",
        names: &names::GPT2,
        keys: GPT_KEYS,
        epsilon: ("layer_norm_epsilon", 1e-5),
        function: "activation_function",
        tied: true,
        biases: Biases::Blocks("bias", true),
        wide: true,
        ..LLAMA
    },
    Kind {
        name: "starcoder2",
        class: "Starcoder2ForCausalLM",
        gguf: "starcoder2",
        names: &names::STARCODER2,
        epsilon: ("norm_epsilon", 1e-5),
        kv_heads: Some(2),
        tied: true,
        biases: Biases::Blocks("use_bias", true),
        windows: Windows::All(None),
        // It is of layer normalisation whatever this says.
        reads: &["norm_type"],
        ..LLAMA
    },
    Kind {
        name: "phi",
        class: "PhiForCausalLM",
        gguf: "phi2",
        names: &names::PHI,
        epsilon: ("layer_norm_eps", 1e-5),
        biases: Biases::All,
        turning: Some(0.5),
        ..LLAMA
    },
    Kind {
        name: "gpt_neox",
        class: "GPTNeoXForCausalLM",
        gguf: "gptneox",
        names: &names::GPT_NEOX,
        keys: &[
            ("partial_rotary_factor", "rotary_pct"),
            ("rope_theta", "rotary_emb_base"),
        ],
        epsilon: ("layer_norm_eps", 1e-5),
        biases: Biases::Feed("attention_bias", true),
        turning: Some(0.25),
        context: Some(2048),
        reads: &["rotary_pct", "rotary_emb_base", "use_parallel_residual"],
        ..LLAMA
    },
    Kind {
        name: "gptj",
        class: "GPTJForCausalLM",
        // But for names, biases and what turns it is alike.
        gguf: "phi2",
        names: &names::GPTJ,
        keys: GPT_KEYS,
        epsilon: ("layer_norm_epsilon", 1e-5),
        function: "activation_function",
        biases: Biases::FeedAndHead,
        context: Some(2048),
        interleaved: true,
        wide: true,
        on: &["scale_attn_weights", "rotary"],
        reads: &["rotary_dim"],
        ..LLAMA
    },
    Kind {
        name: "falcon",
        class: "FalconForCausalLM",
        gguf: "falcon",
        names: &names::FALCON,
        keys: &[
            ("hidden_size", "n_embed"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("num_key_value_heads", "num_kv_heads"),
            ("intermediate_size", "ffn_hidden_size"),
        ],
        epsilon: ("layer_norm_epsilon", 1e-5),
        function: "activation",
        tied: true,
        biases: Biases::Blocks("bias", false),
        context: Some(2048),
        wide: true,
        reads: &["alibi"],
        ..LLAMA
    },
    Kind {
        name: "gpt_bigcode",
        class: "GPTBigCodeForCausalLM",
        gguf: "starcoder",
        names: &names::GPT_BIGCODE,
        keys: GPT_KEYS,
        epsilon: ("layer_norm_epsilon", 1e-5),
        function: "activation_function",
        tied: true,
        biases: Biases::Blocks("bias", true),
        context: Some(1024),
        wide: true,
        // Of how many bits numbers are.
        reads: &["scale_attention_softmax_in_fp32"],
        ..LLAMA
    },
    Kind {
        name: "bloom",
        class: "BloomForCausalLM",
        gguf: "bloom",
        names: &names::BLOOM,
        keys: &[
            ("hidden_size", "n_embed"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
            ("max_position_embeddings", "seq_length"),
        ],
        epsilon: ("layer_norm_epsilon", 1e-5),
        function: "",
        tied: true,
        biases: Biases::Blocks("bias", true),
        context: Some(2048),
        wide: true,
        // Of the program that trained it.
        reads: &["offset_alibi", "skip_bias_add"],
        ..LLAMA
    },
    Kind {
        name: "mpt",
        class: "MptForCausalLM",
        gguf: "mpt",
        names: &names::MPT,
        keys: &[
            ("hidden_size", "d_model"),
            ("num_hidden_layers", "n_layers"),
            ("num_attention_heads", "n_heads"),
            ("max_position_embeddings", "max_seq_len"),
        ],
        epsilon: ("layer_norm_epsilon", 1e-5),
        function: "",
        tied: true,
        context: Some(2048),
        wide: true,
        on: &["no_bias"],
        // It is of layer normalisation whatever this says.
        reads: &["norm_type"],
        ..LLAMA
    },
    Kind {
        name: "olmo",
        class: "OlmoForCausalLM",
        gguf: "olmo",
        // Nothing says another one.
        epsilon: ("", 1e-5),
        biases: Biases::Attention("attention_bias", false),
        context: Some(2048),
        ..LLAMA
    },
    Kind {
        name: "cohere",
        class: "CohereForCausalLM",
        gguf: "command-r",
        epsilon: ("layer_norm_eps", 1e-5),
        tied: true,
        biases: Biases::Attention("attention_bias", false),
        base: 500_000.0,
        context: Some(8192),
        interleaved: true,
        reads: &["logit_scale"],
        ..LLAMA
    },
    Kind {
        name: "mixtral",
        class: "MixtralForCausalLM",
        names: &names::MIXTRAL,
        epsilon: ("rms_norm_eps", 1e-5),
        kv_heads: Some(8),
        windows: Windows::All(None),
        base: 1_000_000.0,
        experts: Some(Experts {
            width: "intermediate_size",
            normalised: Some(true),
            ..EXPERTS
        }),
        ..LLAMA
    },
    Kind {
        name: "qwen2_moe",
        class: "Qwen2MoeForCausalLM",
        gguf: "qwen2moe",
        names: &names::EXPERTS,
        kv_heads: Some(16),
        biases: Biases::Queries("qkv_bias", true),
        experts: Some(Experts {
            shared: Some("shared_expert_intermediate_size"),
            ..EXPERTS
        }),
        ..LLAMA
    },
    Kind {
        name: "qwen3_moe",
        class: "Qwen3MoeForCausalLM",
        gguf: "qwen3moe",
        names: &names::EXPERTS,
        kv_heads: Some(4),
        head_norms: true,
        windows: Windows::Asked,
        experts: Some(EXPERTS),
        ..LLAMA
    },
    Kind {
        name: "olmoe",
        class: "OlmoeForCausalLM",
        gguf: "olmoe",
        names: &names::EXPERTS,
        epsilon: ("rms_norm_eps", 1e-5),
        head_norms: true,
        experts: Some(Experts {
            width: "intermediate_size",
            ..EXPERTS
        }),
        ..LLAMA
    },
];
