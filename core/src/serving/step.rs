//! What one step of a language model takes on one device: work, time and energy, each by what takes it.

/// Work of one step on one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Bytes of weights that every token needs.
    pub body_bytes: f64,
    /// Bytes of the experts that some token of the batch needs.
    pub expert_bytes: f64,
    /// Parameters of those experts.
    pub expert_weights: f64,
    /// How many more experts the busiest device reads than the mean.
    pub imbalance: f64,
    /// Bytes of keys and values.
    pub cache_bytes: f64,
    /// Context of a sequence, averaged over the run, in tokens.
    pub context: f64,
    /// Operations with weights, for the tokens written.
    pub operations: f64,
    /// Those of them with weights of experts.
    pub expert_operations: f64,
    /// Operations of attention, for the tokens written.
    pub attention: f64,
    /// Operations for the share of prompts that falls to this step.
    pub prompt: f64,
    /// Those of them with weights of experts.
    pub expert_prompt: f64,
    /// Those of them of attention.
    pub prompt_attention: f64,
    /// Operations on rows of tiles that hold no token, in layers with experts.
    pub padding: f64,
    /// Numbers of the residual stream, all tokens and layers.
    pub activations: f64,
    /// The same, once for every expert that a token is sent to.
    pub expert_activations: f64,
    /// Bytes exchanged between devices.
    pub link_bytes: f64,
}

impl Work {
    /// The same in proportion.
    pub(super) fn scaled(self, share: f64) -> Self {
        Self {
            body_bytes: self.body_bytes * share,
            expert_bytes: self.expert_bytes * share,
            expert_weights: self.expert_weights * share,
            cache_bytes: self.cache_bytes * share,
            operations: self.operations * share,
            expert_operations: self.expert_operations * share,
            attention: self.attention * share,
            prompt: self.prompt * share,
            expert_prompt: self.expert_prompt * share,
            prompt_attention: self.prompt_attention * share,
            padding: self.padding * share,
            activations: self.activations * share,
            expert_activations: self.expert_activations * share,
            link_bytes: self.link_bytes * share,
            ..self
        }
    }
}

/// Seconds of one step by what takes them; they add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepTime {
    /// Weights: the slower of memory and arithmetic, rounded where they meet.
    pub weights: f64,
    /// Keys and values.
    pub cache: f64,
    /// Prompts.
    pub prompt: f64,
    /// Activations between the products.
    pub activations: f64,
    /// Starting kernels, routing, quantising activations.
    pub launch: f64,
    /// Exchange between devices.
    pub exchange: f64,
    /// Scheduler, sampler and streaming on the host.
    pub host: f64,
}

impl StepTime {
    /// The same in proportion.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self {
            weights: self.weights * factor,
            cache: self.cache * factor,
            prompt: self.prompt * factor,
            activations: self.activations * factor,
            launch: self.launch * factor,
            exchange: self.exchange * factor,
            host: self.host * factor,
        }
    }

    /// The step.
    pub fn total(&self) -> f64 {
        self.weights
            + self.cache
            + self.prompt
            + self.activations
            + self.launch
            + self.exchange
            + self.host
    }
}

/// Joules of one step on one device by what takes them; they add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepEnergy {
    /// Power that flows whatever is done, and while kernels run.
    pub standing: f64,
    /// Operations.
    pub arithmetic: f64,
    /// Unpacking weights or quantising activations.
    pub convert: f64,
    /// Bytes of weights.
    pub weights: f64,
    /// Bytes of keys and values.
    pub cache: f64,
    /// Activations between the products.
    pub activations: f64,
    /// Bytes over links.
    pub link: f64,
}

impl StepEnergy {
    /// The step.
    pub fn total(&self) -> f64 {
        self.standing
            + self.arithmetic
            + self.convert
            + self.weights
            + self.cache
            + self.activations
            + self.link
    }

    /// The same in proportion, where it exceeds what the power limit allows.
    pub(super) fn held(self, most: f64) -> Self {
        let factor = (most / self.total()).min(1.0);
        Self {
            standing: self.standing * factor,
            arithmetic: self.arithmetic * factor,
            convert: self.convert * factor,
            weights: self.weights * factor,
            cache: self.cache * factor,
            activations: self.activations * factor,
            link: self.link * factor,
        }
    }
}
