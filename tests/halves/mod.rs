//! Models in 16 bits, made of those that ship.

use serde_json::{Value, json};

/// A copy of a bundled model with every tensor in 16 bits, by the same header but for the format and the places.
pub(crate) fn half_copy(bundled: &[u8], brain: bool) -> Vec<u8> {
    let length = u64::from_le_bytes(*bundled.first_chunk().unwrap()) as usize;
    let (header, data) = bundled[8..].split_at(length);
    let mut header: serde_json::Map<String, Value> = serde_json::from_slice(header).unwrap();
    let mut names: Vec<(u64, String)> = header
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, entry)| (entry["data_offsets"][0].as_u64().unwrap(), name.clone()))
        .collect();
    names.sort();
    let mut packed: Vec<u8> = Vec::new();
    for (start, name) in names {
        let entry = &mut header[&name];
        let end = entry["data_offsets"][1].as_u64().unwrap();
        let from = packed.len();
        for value in data[start as usize..end as usize].chunks_exact(4) {
            let value = f32::from_le_bytes(value.try_into().unwrap());
            packed.extend(if brain {
                half::bf16::from_f32(value).to_le_bytes()
            } else {
                half::f16::from_f32(value).to_le_bytes()
            });
        }
        entry["dtype"] = json!(if brain { "BF16" } else { "F16" });
        entry["data_offsets"] = json!([from, packed.len()]);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(packed);
    file
}
