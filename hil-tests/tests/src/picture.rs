//! What cameras of ROS 2 publish, written down byte by byte.

/// A `sensor_msgs/msg/Image`.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the message")]
pub struct Picture {
    pub stamp_ns: u64,
    pub width: u32,
    pub height: u32,
    pub encoding: &'static str,
    pub data: Vec<u8>,
}

impl Picture {
    /// One colour all over, three bytes a pixel.
    #[must_use]
    pub fn plain(encoding: &'static str, stamp_ns: u64, colour: [u8; 3]) -> Self {
        let (width, height) = (8_u32, 6_u32);
        let data = colour.repeat(8 * 6);
        Self { stamp_ns, width, height, encoding, data }
    }

    /// Its bytes: CDR, little-endian.
    ///
    /// # Panics
    /// If it has no row, or 4 GiB.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut cdr = Cdr::of(self.stamp_ns);
        cdr.word(self.height);
        cdr.word(self.width);
        cdr.bytes(&[self.encoding.as_bytes(), b"\0"].concat());
        cdr.0.push(0);
        let step = self.data.len() / usize::try_from(self.height).expect("a usize has 32 bits");
        cdr.word(u32::try_from(step).expect("a row is short"));
        cdr.bytes(&self.data);
        cdr.0
    }
}

/// A `sensor_msgs/msg/CompressedImage`.
#[must_use]
pub fn compressed(format: &str, stamp_ns: u64, data: &[u8]) -> Vec<u8> {
    let mut cdr = Cdr::of(stamp_ns);
    cdr.bytes(&[format.as_bytes(), b"\0"].concat());
    cdr.bytes(data);
    cdr.0
}

struct Cdr(Vec<u8>);

impl Cdr {
    /// The encapsulation and the header: a stamp, and a frame without a name.
    fn of(stamp_ns: u64) -> Self {
        let mut cdr = Self(vec![0, 1, 0, 0]);
        let (seconds, rest) = (stamp_ns / 1_000_000_000, stamp_ns % 1_000_000_000);
        cdr.word(u32::try_from(seconds).expect("before 2106"));
        cdr.word(u32::try_from(rest).expect("less than a second"));
        cdr.bytes(b"\0");
        cdr
    }

    fn word(&mut self, value: u32) {
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(u32::try_from(bytes.len()).expect("it is shorter than 4 GiB"));
        self.0.extend(bytes);
    }
}
