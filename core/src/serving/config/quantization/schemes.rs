//! Schemes by the names that files give them.

use serde_json::Value;

use super::super::keys::{Keys, most, shown};
use super::{HALF, Scheme, plain};
use crate::error::Result;

impl Keys<'_> {
    pub(super) fn scheme(&self, name: &str) -> Result<Scheme> {
        let integers = |names: &[&'static str]| self.bits(names, 8);
        let stated = integers(&["bits", "w_bit", "num_bits", "wbits", "weight_bits", "nbits"]);
        let group = || self.group(&["group_size", "q_group_size", "weight_group_size"], 128);
        Ok(match name {
            "gptq" | "awq" | "integers" | "auto-round" | "auto_round" | "intel/auto-round"
            | "auto-awq" | "marlin" | "gptq_marlin" | "awq_marlin" | "w4a16" | "w8a16"
            | "auto_gptq" => match stated? {
                // A scale in 16 bits and a zero point as wide as a code.
                Some(bits) => Scheme::weights(plain(bits, group()?, HALF + bits)),
                None => {
                    return self.refuse(format!(
                        "states the scheme '{}' without its 'bits'",
                        shown(name)
                    ));
                }
            },
            "w4a16_awq" | "int4_awq" | "w4a8_awq" => Scheme {
                activations: (name == "w4a8_awq").then_some(8),
                ..Scheme::weights(plain(4, group()?, HALF))
            },
            "fp8"
            | "fbgemm_fp8"
            | "fp8_pb_wo"
            | "fp8_pc_pt"
            | "fp8_per_channel_per_token"
            | "ptpc_fp8" => {
                let block = match self.numbers("weight_block_size", most::WIDTH)? {
                    Some(sides) => sides.iter().copied().fold(1, u32::saturating_mul),
                    None => 0,
                };
                Scheme {
                    activations: Some(8),
                    ..Scheme::weights(plain(8, block, 32))
                }
            }
            "int8_sq" | "smoothquant" | "w8a8_sq" | "w8a8" | "int8" => Scheme {
                activations: Some(8),
                ..Scheme::weights(plain(8, 0, 32))
            },
            "mxfp4" => Scheme::weights(plain(4, 32, 8)),
            "mxfp8" => Scheme {
                activations: Some(8),
                ..Scheme::weights(plain(8, 32, 8))
            },
            "nvfp4" | "nvfp4_awq" | "w4a4_nvfp4" | "modelopt_fp4" => Scheme {
                activations: Some(4),
                ..Scheme::weights(plain(4, 16, 8))
            },
            "w4a16_nvfp4" => Scheme::weights(plain(4, 16, 8)),
            "bitsandbytes" | "bnb" => {
                if self.flag("load_in_4bit")? == Some(true)
                    || self.flag("_load_in_4bit")? == Some(true)
                {
                    // Blocks of 64; twice quantised, a scale takes 8 bits and its own scale 32 for 256 of them.
                    let twice = self.flag("bnb_4bit_use_double_quant")? == Some(true);
                    Scheme::weights(plain(4, 64, if twice { 8 } else { 32 }))
                } else if self.flag("load_in_8bit")? == Some(true)
                    || self.flag("_load_in_8bit")? == Some(true)
                {
                    Scheme::weights(plain(8, 0, 32))
                } else {
                    return self.refuse(
                        "states 'bitsandbytes' with neither 'load_in_4bit' nor 'load_in_8bit'",
                    );
                }
            }
            "exl2" | "exl3" => self.fractional()?,
            "hqq" => {
                let inner = self.inner("quant_config")?;
                let weights = match &inner {
                    Some(inner) => inner.inner("weight_quant_params")?,
                    None => None,
                };
                let own = weights.as_ref().or(inner.as_ref()).unwrap_or(self);
                match own.bits(&["nbits", "bits"], 8)? {
                    Some(bits) => {
                        Scheme::weights(plain(bits, own.group(&["group_size"], 64)?, 2 * HALF))
                    }
                    None => return self.refuse("states the scheme 'hqq' without its 'nbits'"),
                }
            }
            "aqlm" => {
                let part = |name| self.number(&[name], 1024);
                let codes = part("num_codebooks")? * part("nbits_per_codebook")?;
                let covered =
                    part("in_group_size")? * self.positive(&["out_group_size"], 1024)?.unwrap_or(1);
                return self.per_weight(f64::from(codes) / f64::from(covered));
            }
            "quark" => {
                let weight = match self.inner("global_quant_config")? {
                    Some(global) => global.inner("weight")?,
                    None => None,
                };
                let Some(weight) = weight else {
                    return self.refuse(
                        "states the scheme 'quark' without 'global_quant_config' and its 'weight'",
                    );
                };
                let number = weight.text("dtype")?.to_lowercase();
                let group = weight.group(&["group_size"], 0)?;
                match number.as_str() {
                    "int4" | "uint4" => Scheme::weights(plain(4, group, HALF)),
                    "int8" => Scheme {
                        activations: Some(8),
                        ..Scheme::weights(plain(8, group, 32))
                    },
                    "fp8_e4m3" | "fp8" => Scheme {
                        activations: Some(8),
                        ..Scheme::weights(plain(8, group, 32))
                    },
                    "fp4" | "mxfp4" | "mx" => Scheme::weights(plain(4, 32, 8)),
                    other => {
                        let other = shown(other);
                        return self.refuse(format!(
                            "stores weights as '{other}' by 'quark', which is not known"
                        ));
                    }
                }
            }
            "torchao" => self.torchao()?,
            "quanto" | "eetq" | "eetq_int8" | "higgs" | "fp_quant" => {
                let number = self.text("weights")?.to_lowercase();
                let bits = self.bits(&["bits"], 8)?;
                match (number.as_str(), bits, name) {
                    (_, Some(bits), _) => Scheme::weights(plain(bits, group()?, HALF)),
                    ("int2", ..) => Scheme::weights(plain(2, 128, HALF)),
                    ("int4", ..) => Scheme::weights(plain(4, 128, HALF)),
                    ("int8" | "qint8", ..) | (_, _, "eetq" | "eetq_int8") => {
                        Scheme::weights(plain(8, 0, HALF))
                    }
                    ("float8" | "qfloat8", ..) => Scheme::weights(plain(8, 0, HALF)),
                    _ => {
                        return self.refuse(format!(
                            "states the scheme '{}' without its bits",
                            shown(name)
                        ));
                    }
                }
            }
            // Three values, four of them in a byte.
            "bitnet" => Scheme {
                activations: Some(8),
                ..Scheme::weights(plain(2, 0, HALF))
            },
            "" => return self.refuse("states a quantisation without its method ('quant_method')"),
            other => {
                let other = shown(other);
                return self.refuse(format!(
                    "stores its weights by '{other}', which is not known: their size cannot be told"
                ));
            }
        })
    }

    /// `TorchAO`: the type is a name like "int4wo-128", or an object with a type of its own.
    fn torchao(&self) -> Result<Scheme> {
        let mut name = String::new();
        let mut group = 0;
        match self.value("quant_type") {
            Some(Value::String(text)) => name = text.to_lowercase(),
            Some(Value::Object(_)) => {
                let mut inner = self.inner("quant_type")?;
                while let Some(keys) = inner {
                    let own = keys.text("_type")?;
                    if !own.is_empty() {
                        name = own.to_lowercase();
                        if let Some(data) = keys.inner("_data")? {
                            group = data.group(&["group_size"], 0)?;
                        }
                        break;
                    }
                    inner = keys.inner("default")?;
                }
            }
            _ => {}
        }
        if let Some((_, size)) = name.split_once('-') {
            group = size.parse().unwrap_or(group);
        }
        let has = |word: &str| name.contains(word);
        let dynamic = has("dynamicactivation")
            || has("dq")
            || has("int8_dynamic")
            || has("dynamic_activation");
        let activations = dynamic.then_some(8);
        let weights = if has("int4") || has("uint4") || has("4w") {
            plain(4, if group == 0 { 128 } else { group }, 2 * HALF)
        } else if has("int8") || has("8w") {
            plain(8, group, HALF)
        } else if has("float8") || has("fp8") {
            plain(8, 0, 32)
        } else {
            let name = shown(&name);
            return self.refuse(format!(
                "stores its weights by 'torchao' as '{name}', which is not known"
            ));
        };
        Ok(Scheme {
            activations,
            ..Scheme::weights(weights)
        })
    }

    /// A scheme of so many bits a weight, not a whole number, scales and all.
    fn per_weight(&self, bits: f64) -> Result<Scheme> {
        /// Weights over which what is beyond a whole number of bits is spread.
        const SPREAD: u32 = 128;
        if !(1.0..=16.0).contains(&bits) {
            return self.refuse(format!("stores {bits} bits a weight, which no scheme does"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let (whole, rest) = (
            bits.floor() as u8,
            ((bits - bits.floor()) * f64::from(SPREAD)).round() as u8,
        );
        Ok(Scheme::weights(plain(whole, SPREAD, rest)))
    }

    fn fractional(&self) -> Result<Scheme> {
        match self.real("bits")? {
            Some(bits) => self.per_weight(bits),
            None => self.refuse("states the scheme 'exl2' or 'exl3' without its 'bits'"),
        }
    }
}
