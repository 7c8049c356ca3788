//! What the node tests' files hold, as far as they are needed: names, types and tensors.

use manifest::Dtype;
use onnx_model::Raw;

/// A value that a graph takes or gives.
pub(crate) struct Value {
    pub(crate) name: String,
    /// Whether it is a tensor of a type in scope, or what else it is.
    pub(crate) kind: Result<(), String>,
}

/// The graph's inputs (11) or outputs (12).
pub(crate) fn values(model: &[u8], field: u64) -> Result<Vec<Value>, String> {
    let graph = inner(model, 7).next().ok_or("no graph: the model holds none")?;
    inner(graph, field).map(value).collect()
}

fn value(info: &[u8]) -> Result<Value, String> {
    let name = inner(info, 1).next().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
    let declared = inner(info, 2).next().ok_or("no type: a value has none")?;
    let kind = match inner(declared, 1).next() {
        Some(tensor) => dtype(number(tensor, 1).unwrap_or(0)).map(|_| ()),
        None if inner(declared, 4).next().is_some() => Err("sequence: only tensors are in scope".to_owned()),
        None => Err("optional: only tensors are in scope".to_owned()),
    };
    Ok(Value { name, kind })
}

/// A `TensorProto`.
pub(crate) fn tensor(bytes: &[u8]) -> Result<Raw, String> {
    let dtype = dtype(number(bytes, 2).unwrap_or(0))?;
    let shape: Vec<usize> =
        numbers(bytes, 1).map(|size| usize::try_from(size).expect("a size is no negative")).collect();
    if let Some(raw) = inner(bytes, 9).next() {
        return Ok(Raw { dtype, shape, bytes: raw.to_vec() });
    }
    let width = match dtype {
        Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        Dtype::F16 | Dtype::Bf16 | Dtype::I16 => 2,
        Dtype::F32 | Dtype::I32 => 4,
        Dtype::I64 => 8,
    };
    let whole = numbers(bytes, if dtype == Dtype::I64 { 7 } else { 5 });
    let mut data: Vec<u8> = whole.flat_map(|number| number.to_le_bytes()[..width].to_vec()).collect();
    if dtype == Dtype::F32 {
        data = inner(bytes, 4).flatten().copied().collect();
    }
    Ok(Raw { dtype, shape, bytes: data })
}

fn dtype(number: u64) -> Result<Dtype, String> {
    let other = match number {
        1 => return Ok(Dtype::F32),
        2 => return Ok(Dtype::U8),
        3 => return Ok(Dtype::I8),
        5 => return Ok(Dtype::I16),
        6 => return Ok(Dtype::I32),
        7 => return Ok(Dtype::I64),
        9 => return Ok(Dtype::Bool),
        10 => return Ok(Dtype::F16),
        16 => return Ok(Dtype::Bf16),
        4 => "u16",
        8 => "string",
        11 => "f64",
        12 => "u32",
        13 => "u64",
        17 => "f8e4m3fn",
        18 => "f8e4m3fnuz",
        19 => "f8e5m2",
        20 => "f8e5m2fnuz",
        21 => "u4",
        22 => "i4",
        23 => "f4e2m1",
        24 => "f8e8m0",
        _ => "unknown",
    };
    Err(format!("dtype: {other} is not in scope"))
}

/// The messages, texts or blocks in this field.
fn inner(bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).filter(move |(field, _, _)| *field == wanted).map(|(_, _, block)| block)
}

fn number(bytes: &[u8], wanted: u64) -> Option<u64> {
    fields(bytes).find(|(field, _, _)| *field == wanted).map(|(_, number, _)| number)
}

/// Every number of a repeated field, packed or not.
fn numbers(bytes: &[u8], wanted: u64) -> impl Iterator<Item = u64> {
    fields(bytes).filter(move |(field, _, _)| *field == wanted).flat_map(|(_, number, mut packed)| {
        let mut all = Vec::new();
        while !packed.is_empty() {
            all.push(varint(&mut packed));
        }
        if all.is_empty() { vec![number] } else { all }
    })
}

/// Each field's number with its varint or its block. The files are the wheel's: what cannot be read is a panic.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => return Some((key >> 3, varint(&mut bytes), &[][..])),
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length fits"),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (block, rest) = bytes.split_at(length);
        bytes = rest;
        Some((key >> 3, 0, block))
    })
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}
