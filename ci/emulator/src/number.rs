//! Narrow floating-point formats, through `f64`, which holds each of their values.

/// A format: bits of the exponent and of the mantissa, and what its largest exponent means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Format {
    pub exponent_bits: u32,
    pub mantissa_bits: u32,
    /// Whether the largest exponent is kept for infinity and NaN; e4m3 keeps one pattern of it for NaN only.
    pub infinite: bool,
}

pub const F16: Format = Format { exponent_bits: 5, mantissa_bits: 10, infinite: true };
pub const BF16: Format = Format { exponent_bits: 8, mantissa_bits: 7, infinite: true };
pub const TF32: Format = Format { exponent_bits: 8, mantissa_bits: 10, infinite: true };
pub const E4M3: Format = Format { exponent_bits: 4, mantissa_bits: 3, infinite: false };
pub const E5M2: Format = Format { exponent_bits: 5, mantissa_bits: 2, infinite: true };

/// How a value between two others is rounded. PTX ISA 9.7.9.21 `cvt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    NearestEven,
    Zero,
    NearestAway,
}

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// All exponent and mantissa bits.
    fn magnitude(self) -> u32 {
        (1 << (self.exponent_bits + self.mantissa_bits)) - 1
    }

    fn infinity(self) -> u32 {
        ((1 << self.exponent_bits) - 1) << self.mantissa_bits
    }

    /// The largest finite value's bits.
    fn largest(self) -> u32 {
        if self.infinite { self.infinity() - 1 } else { self.magnitude() - 1 }
    }

    fn sign_bit(self) -> u32 {
        1 << (self.exponent_bits + self.mantissa_bits)
    }

    /// The value of some bits.
    pub fn decode(self, bits: u32) -> f64 {
        let magnitude = bits & self.magnitude();
        let (exponent, mantissa) = (magnitude >> self.mantissa_bits, magnitude & ((1 << self.mantissa_bits) - 1));
        let value = if self.infinite && magnitude > self.infinity() || !self.infinite && magnitude == self.magnitude() {
            f64::NAN
        } else if self.infinite && magnitude == self.infinity() {
            f64::INFINITY
        } else if exponent == 0 {
            f64::from(mantissa) * power(1 - self.bias() - self.mantissa_bits as i32)
        } else {
            f64::from(mantissa | 1 << self.mantissa_bits)
                * power(exponent as i32 - self.bias() - self.mantissa_bits as i32)
        };
        if bits & self.sign_bit() != 0 { -value } else { value }
    }

    /// The bits of a value. `finite`: too large becomes the largest finite value, not infinity.
    pub fn encode(self, value: f64, rounding: Rounding, finite: bool) -> u32 {
        let sign = if value.is_sign_negative() { self.sign_bit() } else { 0 };
        if value.is_nan() {
            // The canonical NaN has no sign.
            return self.magnitude();
        }
        let overflow = if finite || !self.infinite { self.largest() } else { self.infinity() };
        if value.is_infinite() {
            return sign | overflow;
        }
        let magnitude = value.abs();
        // The exponent of the last place: fixed below the smallest normal number.
        let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(1 - self.bias());
        let scaled = magnitude * power(self.mantissa_bits as i32 - exponent);
        let rounded = match rounding {
            Rounding::NearestEven => scaled.round_ties_even(),
            Rounding::Zero => scaled.trunc(),
            Rounding::NearestAway => scaled.round(),
        };
        // A mantissa that rounds up to the next power of two carries into the exponent by itself.
        let exponent_field = (exponent + self.bias() - 1) as u32;
        let bits = (exponent_field << self.mantissa_bits) + rounded as u32;
        if bits > self.largest() {
            return sign | if rounding == Rounding::Zero { self.largest() } else { overflow };
        }
        sign | bits
    }
}

/// Two to a power within the range of `f64`.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023).clamp(1, 2046) as u64) << 52)
}

/// The sum of two numbers, rounded to odd, so that rounding it once more to a narrower format rounds the exact sum
/// (Boldo and Melquiond 2008).
pub fn add_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if !sum.is_finite() {
        return sum;
    }
    let from_b = sum - a;
    let error = (a - (sum - from_b)) + (b - from_b);
    if error == 0.0 || sum.to_bits() & 1 == 1 {
        return sum;
    }
    // The neighbour towards the exact sum is odd.
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if away { sum.to_bits() + 1 } else { sum.to_bits() - 1 })
}
