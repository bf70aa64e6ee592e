//! Operators: what they give for what they read, by their definitions
//! (<https://onnx.ai/onnx/operators/>, <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>).

mod arrange;
mod elementwise;
mod index;
mod layers;
mod products;
mod reduce;
mod rounded;
mod slice;
mod window;

use super::call::{Call, Outcome, here};
use super::tensor::DataType;
use super::value::Value;
use super::work::Work;

/// Operators that most of the work of networks is in.
pub(super) const MULTIPLY: [&str; 23] = [
    "Conv",
    "ConvInteger",
    "QLinearConv",
    "FusedConv",
    "ConvTranspose",
    "MatMul",
    "FusedMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "QLinearMatMul",
    "MatMulNBits",
    "Gemm",
    "QGemm",
    "Einsum",
    "LSTM",
    "GRU",
    "RNN",
    "DynamicQuantizeLSTM",
    "Attention",
    "QAttention",
    "MultiHeadAttention",
    "GroupQueryAttention",
];

/// What a constant input is to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Numbers that it multiplies with: the weights of its work.
    Weight,
    /// Parameters beside them, down to a single one: biases, scales of normalisation.
    Parameter,
    /// Scales and zero points of rounded numbers.
    Scale,
    /// Sizes, axes and the like, which are no parameters.
    Argument,
}

/// What a node gives.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) outputs: Vec<Value>,
    pub(super) work: Option<Work>,
    /// Inputs by what they are there for; others are numbers that it computes with.
    pub(super) uses: Vec<(usize, Use)>,
}

impl Given {
    fn one(output: Value) -> Self {
        Self {
            outputs: vec![output],
            ..Self::default()
        }
    }

    fn shaped(data_type: DataType, shape: Vec<u64>) -> Self {
        Self::one(Value::new(data_type, shape))
    }

    fn with(mut self, output: Value) -> Self {
        self.outputs.push(output);
        self
    }

    /// These inputs are sizes, axes and the like.
    fn with_arguments(mut self, inputs: std::ops::Range<usize>) -> Self {
        self.uses.extend(inputs.map(|input| (input, Use::Argument)));
        self
    }
}

/// What a node gives, graphs inside it and functions of the file apart.
pub(super) fn infer(call: &Call<'_, '_>) -> Outcome<Given> {
    let name = call.node.operator.as_str();
    if let Some(given) = elementwise::infer(call, name) {
        return given;
    }
    match name {
        "Conv" | "FusedConv" => window::conv(call),
        "ConvInteger" => window::conv_integer(call),
        "QLinearConv" => window::conv_rounded(call),
        "ConvTranspose" => window::conv_transposed(call),
        "MaxPool" | "AveragePool" | "LpPool" => window::pool(call),
        "QLinearAveragePool" => window::pool(call),
        "MatMul" | "FusedMatMul" | "TransposeMatMul" => products::matmul(call),
        "MatMulInteger" | "MatMulIntegerToFloat" | "DynamicQuantizeMatMul" => {
            products::matmul_integer(call)
        }
        "QLinearMatMul" => products::matmul_rounded(call),
        "MatMulNBits" => products::matmul_bits(call),
        "Gemm" | "FusedGemm" => products::gemm(call),
        "QGemm" => products::gemm_rounded(call),
        "Einsum" => products::einsum(call),
        "LSTM" | "GRU" | "RNN" | "DynamicQuantizeLSTM" => layers::recurrent(call),
        "Attention" if call.node.domain.is_empty() => layers::attention_plain(call),
        "Attention" | "QAttention" => layers::attention_with_weights(call),
        "MultiHeadAttention" => layers::attention_heads(call),
        "GroupQueryAttention" => layers::attention_groups(call),
        "BatchNormalization" => layers::batch_normalization(call),
        "LayerNormalization"
        | "SimplifiedLayerNormalization"
        | "RMSNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "GroupNorm" => layers::normalization(call, 1),
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => {
            layers::normalization(call, 2)
        }
        "EmbedLayerNormalization" => layers::embedded(call),
        "QuantizeLinear" | "DynamicQuantizeLinear" => rounded::quantize(call),
        "DequantizeLinear" => rounded::dequantize(call),
        "Gather" => index::gather(call),
        "GatherElements" => index::gather_elements(call),
        "GatherND" => index::gather_nd(call),
        "ScatterND" | "ScatterElements" | "Scatter" | "TensorScatter" => index::scatter(call),
        "NonZero" => index::non_zero(call),
        "TopK" => index::top(call),
        "GridSample" => index::grid_sample(call),
        "RoiAlign" => index::regions(call),
        "OneHot" => index::one_hot(call),
        "ArgMax" | "ArgMin" => reduce::arg(call),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" | "QLinearGlobalAveragePool" => {
            reduce::global(call)
        }
        _ if name.starts_with("Reduce") => reduce::reduce(call, name),
        _ => arrange::infer(call, name),
    }
}

fn not_known<T>() -> Outcome<T> {
    here("is an operator whose results are not known")
}
