//! The classes that a pickle may name. All others are refused: making one of them would run code.

use crate::number::StoredFormat;

/// What a class of a pickle is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A dictionary, made of nothing or of pairs.
    Dictionary,
    /// What its first argument is.
    Pass,
    /// A tensor of a storage that has a type.
    View,
    /// A tensor that says its type itself.
    TypedView,
    /// A tensor whose class is derived from PyTorch's.
    OfType,
    /// The class of a storage; elements of one that has no format are bytes.
    Storage(Option<StoredFormat>),
    /// The type of elements.
    Format(StoredFormat),
    /// A class that a TorchScript file defines itself.
    Script,
    /// Nothing that is needed, and harmless.
    Idle,
}

/// The class of a name.
///
/// # Errors
/// It is refused: the fact, with the name.
pub(super) fn class(module: &str, name: &str) -> Result<Class, String> {
    if module.starts_with("__torch__") {
        return Ok(Class::Script);
    }
    let bare = name.strip_suffix("Storage");
    Ok(match (module, name) {
        ("collections", "OrderedDict" | "defaultdict" | "Counter") => Class::Dictionary,
        ("builtins" | "__builtin__", "dict") => Class::Dictionary,
        ("builtins" | "__builtin__", "list" | "tuple") => Class::Pass,
        ("torch", "Size") | ("torch.nn.parameter", "Parameter" | "Buffer") => Class::Pass,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Class::Pass,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Class::View,
        ("torch._utils", "_rebuild_tensor_v3") => Class::TypedView,
        ("torch._tensor", "_rebuild_from_type_v2") => Class::OfType,
        ("torch.storage" | "torch", "UntypedStorage") => Class::Storage(None),
        ("torch" | "torch.cuda", _) if bare.is_some() => {
            let format = bare.and_then(of_storage);
            Class::Storage(Some(format.ok_or_else(|| refused(module, name))?))
        }
        ("torch", name) if let Some(format) = of_type(name) => Class::Format(format),
        _ if is_idle(module, name) => Class::Idle,
        _ => return Err(refused(module, name)),
    })
}

fn refused(module: &str, name: &str) -> String {
    let class = format!("{module}.{name}");
    let shown: String = class.escape_debug().take(120).collect();
    let save = "save its tensors alone (torch.save(model.state_dict(), …))";
    if module == "torch._utils" {
        return format!("this pickle holds tensors of a kind that is not read ('{shown}'); {save}");
    }
    format!(
        "this pickle makes an object of '{shown}', which could run code and is not made; {save}"
    )
}

/// Containers and values that training scripts keep beside weights. None of them is made: they stand for nothing.
fn is_idle(module: &str, name: &str) -> bool {
    match module {
        "builtins" | "__builtin__" => matches!(
            name,
            "set"
                | "frozenset"
                | "bytearray"
                | "bytes"
                | "complex"
                | "slice"
                | "range"
                | "int"
                | "float"
                | "bool"
                | "str"
        ),
        "argparse" => name == "Namespace",
        "collections" => name == "deque",
        "datetime" => matches!(name, "datetime" | "date" | "timedelta"),
        "pathlib" | "pathlib._local" => name.ends_with("Path"),
        "_codecs" => name == "encode",
        "numpy.core.multiarray" | "numpy._core.multiarray" => {
            matches!(name, "scalar" | "_reconstruct")
        }
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "torch" => matches!(
            name,
            "device" | "contiguous_format" | "channels_last" | "preserve_format"
        ),
        "torch.serialization" => name == "_get_layout",
        "torch.jit._pickle" => true,
        _ => false,
    }
}

fn of_storage(name: &str) -> Option<StoredFormat> {
    use StoredFormat as F;
    Some(match name {
        "Double" => F::F64,
        "Float" => F::F32,
        "Half" => F::F16,
        "BFloat16" => F::BF16,
        "Long" => F::I64,
        "Int" => F::I32,
        "Short" => F::I16,
        "Char" => F::I8,
        "Byte" => F::U8,
        "Bool" => F::Bool,
        "ComplexFloat" => F::Other {
            name: "C64",
            bits: 64,
        },
        _ => return None,
    })
}

fn of_type(name: &str) -> Option<StoredFormat> {
    use StoredFormat as F;
    Some(match name {
        "float64" => F::F64,
        "float32" => F::F32,
        "float16" => F::F16,
        "bfloat16" => F::BF16,
        "float8_e4m3fn" => F::F8_E4M3,
        "float8_e5m2" => F::F8_E5M2,
        "int64" => F::I64,
        "int32" => F::I32,
        "int16" => F::I16,
        "int8" => F::I8,
        "uint8" => F::U8,
        "uint16" => F::U16,
        "uint32" => F::U32,
        "uint64" => F::U64,
        "bool" => F::Bool,
        _ => return None,
    })
}
