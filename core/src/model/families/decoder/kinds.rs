//! The kinds of networks of GGUF files that run here, as a table of what they do differently.

use super::form::{Feed, Form, Function, NormRule, Norms};

/// A kind of network, as `general.architecture` calls it.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether numbers that turn together stand side by side.
    pub(super) interleaved: bool,
    pub(super) norm: NormRule,
    pub(super) norms: Norms,
    pub(super) parallel: Parallel,
    /// Whether queries and keys are normalised whole, where they are.
    pub(super) whole_norms: bool,
    pub(super) feed: Feed,
    pub(super) function: Function,
    pub(super) learnt_positions: bool,
    pub(super) alibi: Biases,
    /// Every n-th block does not turn; 0: all do.
    pub(super) unturned_every: usize,
    /// Whether rows of the table of tokens are multiplied by the square root of the width.
    pub(super) rooted: bool,
    pub(super) windows: Windows,
    /// Blocks of the size whose scores are scaled by the width divided by the heads, in place of the width of a head.
    pub(super) scaled_by_width: Option<usize>,
    /// Its experts, where the metadata have some.
    pub(super) experts: Option<Experts>,
    /// What is read of its metadata beside sizes, see [`OTHER_KEYS`].
    pub(super) reads: &'static [&'static str],
    /// What of it must be there.
    pub(super) needs: &'static [&'static str],
}

/// Whether both parts of a block read what came into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parallel {
    Never,
    Always,
    /// The metadata say so.
    Said,
}

/// Whether scores have linear biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Biases {
    No,
    /// As the paper has them, with [`PAPERS`].
    Usual,
    /// The metadata say how many.
    Said,
}

/// The last slope of the paper is 2 to the power of minus this.
pub(super) const PAPERS: f32 = 8.0;

/// Experts of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Experts {
    /// Whether it has nothing else, so that the metadata must have them.
    pub(super) always: bool,
    /// Whether what the picked ones count is divided by its sum.
    pub(super) normalised: bool,
    /// Whether their width may be another than that of feed-forward layers: else a share of that.
    pub(super) own_width: bool,
    pub(super) shared: Shared,
}

/// Whether there is an expert that every token visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    No,
    /// Where the metadata say how wide it is.
    Said,
    /// Always, and what it gives is multiplied by a gate.
    Gated,
}

/// Which blocks look back over a window only, where the metadata have one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Windows {
    /// A window is not run.
    None,
    /// All blocks.
    All,
    /// All but every n-th, unless the metadata say other ones; their angles have a base of their own.
    But {
        every: usize,
        /// The window, where the metadata have none.
        usual: Option<usize>,
        /// The base, where the metadata have none; `None`: that of the others.
        base: Option<f32>,
    },
}

/// Metadata that change what a network computes, and the number that changes nothing. A kind that does not read one of
/// them is refused where it is another number.
pub(super) const OTHER_KEYS: [(&str, f64); 22] = [
    ("expert_count", 0.0),
    ("expert_weights_scale", 1.0),
    ("expert_group_count", 0.0),
    ("expert_gating_func", 1.0),
    ("leading_dense_block_count", 0.0),
    ("interleave_moe_layer_step", 1.0),
    ("nextn_predict_layers", 0.0),
    ("rope.scaling.factor", 1.0),
    ("rope.scale_linear", 1.0),
    ("rope.scaling.attn_factor", 1.0),
    ("attention.sliding_window", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attention.clamp_kqv", 0.0),
    ("logit_scale", 1.0),
    ("attn_logit_softcapping", 0.0),
    ("final_logit_softcapping", 0.0),
    ("embedding_scale", 1.0),
    ("residual_scale", 1.0),
    ("attention.scale", 0.0),
    ("attention.temperature_length", 0.0),
    ("attention.temperature_scale", 0.0),
    ("router_logit_softcapping", 0.0),
];

const LLAMA: Kind = Kind {
    name: "llama",
    interleaved: true,
    norm: NormRule::RootMeanSquare,
    norms: Norms::Before,
    parallel: Parallel::Never,
    whole_norms: false,
    feed: Feed::Gated,
    function: Function::Silu,
    learnt_positions: false,
    alibi: Biases::No,
    unturned_every: 0,
    rooted: false,
    windows: Windows::None,
    scaled_by_width: None,
    experts: Some(Experts {
        always: false,
        normalised: true,
        own_width: false,
        shared: Shared::No,
    }),
    reads: &["rope.scaling.factor", "expert_count"],
    needs: &[],
};

/// Pairs that turn together stand half of them apart.
const QWEN: Kind = Kind {
    name: "qwen2",
    interleaved: false,
    experts: None,
    reads: &["rope.scaling.factor"],
    ..LLAMA
};

const GEMMA: Kind = Kind {
    name: "gemma",
    function: Function::Gelu,
    rooted: true,
    ..QWEN
};

/// Layer normalisation and a feed-forward layer without a gate.
const GPT: Kind = Kind {
    name: "gpt2",
    norm: NormRule::Layer,
    feed: Feed::Plain,
    function: Function::Gelu,
    reads: &[],
    ..QWEN
};

/// As llama.cpp runs them.
pub(super) const KINDS: &[Kind] = &[
    LLAMA,
    QWEN,
    Kind {
        name: "qwen3",
        ..QWEN
    },
    GEMMA,
    Kind {
        name: "gemma2",
        norms: Norms::Around,
        windows: Windows::But {
            every: 2,
            usual: Some(4096),
            base: None,
        },
        scaled_by_width: Some(46),
        reads: &[
            "attention.sliding_window",
            "attn_logit_softcapping",
            "final_logit_softcapping",
        ],
        needs: &["attn_logit_softcapping", "final_logit_softcapping"],
        ..GEMMA
    },
    Kind {
        name: "gemma3",
        norms: Norms::Around,
        windows: Windows::But {
            every: 6,
            usual: None,
            base: Some(10_000.0),
        },
        scaled_by_width: Some(62),
        reads: &[
            "attention.sliding_window",
            "rope.scaling.factor",
            "final_logit_softcapping",
        ],
        ..GEMMA
    },
    Kind {
        name: "phi3",
        feed: Feed::GatedInOne,
        windows: Windows::All,
        reads: &["attention.sliding_window", "rope.scaling.attn_factor"],
        ..QWEN
    },
    Kind {
        name: "olmo2",
        norms: Norms::After,
        whole_norms: true,
        windows: Windows::But {
            every: 4,
            usual: None,
            base: None,
        },
        reads: &["attention.sliding_window"],
        ..QWEN
    },
    Kind {
        name: "qwen2moe",
        experts: Some(Experts {
            always: true,
            normalised: false,
            own_width: true,
            shared: Shared::Gated,
        }),
        reads: &["rope.scaling.factor", "expert_count"],
        ..QWEN
    },
    Kind {
        name: "qwen3moe",
        experts: Some(Experts {
            always: true,
            normalised: true,
            own_width: true,
            shared: Shared::No,
        }),
        reads: &["rope.scaling.factor", "expert_count"],
        ..QWEN
    },
    Kind {
        name: "olmoe",
        whole_norms: true,
        experts: Some(Experts {
            always: true,
            normalised: false,
            own_width: false,
            shared: Shared::No,
        }),
        reads: &["rope.scaling.factor", "expert_count"],
        ..QWEN
    },
    Kind {
        name: "granite",
        experts: None,
        reads: &[
            "logit_scale",
            "embedding_scale",
            "residual_scale",
            "attention.scale",
        ],
        needs: &["logit_scale"],
        ..LLAMA
    },
    Kind {
        name: "granitemoe",
        experts: Some(Experts {
            always: true,
            normalised: true,
            own_width: false,
            shared: Shared::Said,
        }),
        reads: &[
            "expert_count",
            "logit_scale",
            "embedding_scale",
            "residual_scale",
            "attention.scale",
        ],
        needs: &["logit_scale"],
        ..LLAMA
    },
    Kind {
        name: "minicpm",
        experts: None,
        reads: &["logit_scale", "embedding_scale", "residual_scale"],
        needs: &["logit_scale", "embedding_scale", "residual_scale"],
        ..LLAMA
    },
    Kind {
        name: "internlm2",
        experts: None,
        reads: &["rope.scaling.factor"],
        ..LLAMA
    },
    Kind {
        name: "ernie4_5",
        experts: None,
        reads: &["rope.scaling.factor"],
        ..LLAMA
    },
    Kind {
        name: "smollm3",
        experts: None,
        unturned_every: 4,
        reads: &["rope.scaling.factor"],
        ..LLAMA
    },
    Kind {
        name: "exaone",
        ..QWEN
    },
    Kind {
        name: "exaone4",
        norms: Norms::After,
        ..QWEN
    },
    Kind {
        name: "stablelm",
        norm: NormRule::Layer,
        ..QWEN
    },
    Kind {
        learnt_positions: true,
        ..GPT
    },
    Kind {
        name: "starcoder",
        learnt_positions: true,
        ..GPT
    },
    Kind {
        name: "phi2",
        norms: Norms::Once,
        parallel: Parallel::Always,
        ..GPT
    },
    Kind {
        name: "gptneox",
        parallel: Parallel::Said,
        function: Function::GeluExact,
        ..GPT
    },
    Kind {
        name: "starcoder2",
        ..GPT
    },
    Kind {
        name: "falcon",
        norms: Norms::Once,
        parallel: Parallel::Always,
        function: Function::GeluExact,
        ..GPT
    },
    Kind {
        name: "bloom",
        alibi: Biases::Usual,
        ..GPT
    },
    Kind {
        name: "mpt",
        alibi: Biases::Said,
        function: Function::GeluExact,
        reads: &["attention.max_alibi_bias"],
        needs: &["attention.max_alibi_bias"],
        ..GPT
    },
    Kind {
        name: "olmo",
        norm: NormRule::LayerBare,
        experts: None,
        reads: &["rope.scaling.factor"],
        ..LLAMA
    },
    Kind {
        name: "command-r",
        norm: NormRule::LayerScaled,
        norms: Norms::Once,
        parallel: Parallel::Always,
        experts: None,
        reads: &["rope.scaling.factor", "logit_scale"],
        needs: &["logit_scale"],
        ..LLAMA
    },
];

impl Kind {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// What it does differently, apart from what single files say.
    pub(super) fn form(&self) -> Form {
        Form {
            norm: self.norm,
            norms: self.norms,
            parallel: self.parallel == Parallel::Always,
            whole_norms: self.whole_norms,
            feed: self.feed,
            function: self.function,
            learnt_positions: self.learnt_positions,
            unturned_every: self.unturned_every,
            ..Form::default()
        }
    }
}
