//! A tensor as it travels: a name, a type, a shape, and its bytes, row-major and little-endian.

use hyper::body::Bytes;

/// An element's type, by the protocol's name of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datatype {
    /// One byte an element, 0 or 1.
    Bool,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// IEEE 754, 16 bits.
    Fp16,
    /// The upper half of an IEEE 754 number of 32 bits.
    Bf16,
    /// IEEE 754, 32 bits.
    Fp32,
    /// IEEE 754, 64 bits.
    Fp64,
    /// Strings of bytes, each after its length in 4 bytes.
    Bytes,
}

impl Datatype {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// An element's bytes; `None` where each has its own length.
    #[must_use]
    pub fn bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Int32 | Self::Uint32 | Self::Fp32 => Some(4),
            Self::Int64 | Self::Uint64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

/// Values with their name. What is built holds as many bytes as type and shape ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    datatype: Datatype,
    shape: Vec<u32>,
    bytes: Bytes,
}

/// Why bytes are no tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// Another number of bytes than type and shape ask for.
    #[error("{found} bytes where type and shape ask for {wanted}")]
    Length {
        /// By type and shape.
        wanted: usize,
        /// What there is.
        found: usize,
    },
    /// The shape holds more elements than there can be.
    #[error("a shape of more elements than memory has")]
    Shape,
    /// A string's length points beyond the end, or strings are left over.
    #[error("strings whose lengths do not add up to the shape")]
    Strings,
    /// A number that is none, or infinite.
    #[error("element {0} is not finite")]
    NotFinite(usize),
    /// A truth value that is neither 0 nor 1.
    #[error("element {0} is neither true nor false")]
    NotBool(usize),
}

impl Tensor {
    /// # Errors
    /// Says what does not fit.
    pub fn new(
        name: impl Into<String>,
        datatype: Datatype,
        shape: Vec<u32>,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (name, bytes) = (name.into(), bytes.into());
        let elements = elements(&shape).ok_or(TensorError::Shape)?;
        match datatype.bytes() {
            Some(size) => {
                let wanted = elements.checked_mul(size).ok_or(TensorError::Shape)?;
                if bytes.len() != wanted {
                    return Err(TensorError::Length { wanted, found: bytes.len() });
                }
            }
            None => strings(&bytes, elements)?,
        }
        if datatype == Datatype::Bool
            && let Some(place) = bytes.iter().position(|byte| *byte > 1)
        {
            return Err(TensorError::NotBool(place));
        }
        if let Some(place) = not_finite(datatype, &bytes) {
            return Err(TensorError::NotFinite(place));
        }
        Ok(Self { name, datatype, shape, bytes })
    }

    /// A tensor of numbers of 32 bits.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn fp32(name: impl Into<String>, shape: Vec<u32>, values: &[f32]) -> Result<Self, TensorError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::new(name, Datatype::Fp32, shape, bytes)
    }

    /// Its name in the model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its elements' type.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Its dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// Its values, row-major and little-endian.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its values, if they are numbers of 32 bits.
    pub fn values_fp32(&self) -> Option<impl ExactSizeIterator<Item = f32> + '_> {
        let value = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
        (self.datatype == Datatype::Fp32).then(|| self.bytes.as_chunks::<4>().0.iter().map(value))
    }
}

/// A tensor that an answer must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name in the model.
    pub name: String,
    /// Its elements' type.
    pub datatype: Datatype,
    /// Its dimensions, outermost first.
    pub shape: Vec<Extent>,
}

/// One dimension of an answer's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// That many.
    Exactly(u32),
    /// As many as the model found, but no more than that.
    AtMost(u32),
}

impl Extent {
    pub(crate) fn holds(self, found: u32) -> bool {
        match self {
            Self::Exactly(wanted) => found == wanted,
            Self::AtMost(most) => found <= most,
        }
    }
}

fn elements(shape: &[u32]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(usize::try_from(*extent).ok()?))
}

fn strings(mut bytes: &[u8], elements: usize) -> Result<(), TensorError> {
    for _ in 0..elements {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(TensorError::Strings)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| TensorError::Strings)?;
        bytes = rest.get(length..).ok_or(TensorError::Strings)?;
    }
    if bytes.is_empty() { Ok(()) } else { Err(TensorError::Strings) }
}

/// The place of the first number that is not finite: its exponent is all ones.
fn not_finite(datatype: Datatype, bytes: &[u8]) -> Option<usize> {
    let half =
        |exponent: u16| bytes.as_chunks::<2>().0.iter().position(|two| u16::from_le_bytes(*two) & exponent == exponent);
    match datatype {
        Datatype::Fp16 => half(0x7C00),
        Datatype::Bf16 => half(0x7F80),
        Datatype::Fp32 => bytes.as_chunks::<4>().0.iter().position(|four| !f32::from_le_bytes(*four).is_finite()),
        Datatype::Fp64 => bytes.as_chunks::<8>().0.iter().position(|eight| !f64::from_le_bytes(*eight).is_finite()),
        Datatype::Bool
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Bytes => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for one in Datatype::ALL {
            assert_eq!(Datatype::named(one.name()), Some(one));
        }
        assert_eq!(Datatype::named("fp32"), None);
    }

    #[test]
    fn bytes_must_fit_type_and_shape() {
        assert!(Tensor::new("x", Datatype::Fp16, vec![2, 3], vec![0; 12]).is_ok());
        assert_eq!(
            Tensor::new("x", Datatype::Fp16, vec![2, 3], vec![0; 11]),
            Err(TensorError::Length { wanted: 12, found: 11 })
        );
        assert_eq!(Tensor::new("x", Datatype::Int8, vec![u32::MAX; 3], vec![]), Err(TensorError::Shape));
    }

    #[test]
    fn a_number_that_is_none_is_no_value() {
        assert_eq!(Tensor::fp32("x", vec![2], &[1.0, f32::NAN]), Err(TensorError::NotFinite(1)));
        assert_eq!(Tensor::fp32("x", vec![2], &[f32::INFINITY, 0.0]), Err(TensorError::NotFinite(0)));
        assert!(Tensor::fp32("x", vec![2], &[f32::MAX, f32::MIN]).is_ok());
        let half = |bits: u16| Tensor::new("x", Datatype::Fp16, vec![1], bits.to_le_bytes().to_vec());
        assert!(half(0x7BFF).is_ok() && half(0xFBFF).is_ok());
        assert!(half(0x7C00).is_err() && half(0xFC00).is_err() && half(0x7E01).is_err());
        let brain = |bits: u16| Tensor::new("x", Datatype::Bf16, vec![1], bits.to_le_bytes().to_vec());
        assert!(brain(0x7F7F).is_ok() && brain(0x7F80).is_err());
    }

    #[test]
    fn strings_must_add_up() {
        let two = [&[1, 0, 0, 0, b'a'][..], &[2, 0, 0, 0, b'b', b'c']].concat();
        assert!(Tensor::new("x", Datatype::Bytes, vec![2], two.clone()).is_ok());
        for (shape, bytes) in [(1, &two[..]), (3, &two[..]), (2, &two[..10]), (1, &[9, 0, 0, 0][..])] {
            assert_eq!(Tensor::new("x", Datatype::Bytes, vec![shape], bytes.to_vec()), Err(TensorError::Strings));
        }
    }

    #[test]
    fn a_truth_value_is_zero_or_one() {
        assert!(Tensor::new("x", Datatype::Bool, vec![2], vec![0, 1]).is_ok());
        assert_eq!(Tensor::new("x", Datatype::Bool, vec![2], vec![1, 2]), Err(TensorError::NotBool(1)));
    }
}
