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

/// How a value between two others is rounded. PTX ISA 9.7.9 `cvt`.
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
        // Normal numbers only change the width of their fields.
        if magnitude >> self.mantissa_bits != 0 && magnitude <= self.largest() {
            let wide = (u64::from(magnitude) << (52 - self.mantissa_bits)) + ((1023 - self.bias() as u64) << 52);
            let sign = if bits & self.sign_bit() != 0 { 1 << 63 } else { 0 };
            return f64::from_bits(wide | sign);
        }
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
        // Within the normal numbers rounding is an addition to the bits.
        let (shift, rebias) = (52 - self.mantissa_bits, (1023 - self.bias() as u64) << 52);
        let wide = magnitude.to_bits();
        if rounding == Rounding::NearestEven && wide >= rebias + (1 << 52) {
            let rounded = (wide - rebias + (1 << (shift - 1)) - 1 + (wide >> shift & 1)) >> shift;
            return sign | if rounded > u64::from(self.largest()) { overflow } else { rounded as u32 };
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 5] = [F16, BF16, TF32, E4M3, E5M2];

    /// All bits of a format but its NaNs.
    fn numbers(format: Format) -> impl Iterator<Item = u32> {
        let all = 0..2 * format.sign_bit();
        all.filter(move |bits| !format.decode(*bits).is_nan())
    }

    #[test]
    fn every_number_is_itself() {
        for format in FORMATS {
            for bits in numbers(format) {
                for rounding in [Rounding::NearestEven, Rounding::Zero, Rounding::NearestAway] {
                    assert_eq!(format.encode(format.decode(bits), rounding, false), bits, "{format:?} {bits:#x}");
                }
            }
        }
    }

    #[test]
    fn between_two_numbers_the_nearer_is_taken_and_in_the_middle_the_even() {
        for format in FORMATS {
            for low in 0..format.largest() {
                let (below, above) = (format.decode(low), format.decode(low + 1));
                let middle = (below + above) / 2.0;
                let encode = |value, rounding| format.encode(value, rounding, false);
                let even = low + (low & 1);
                assert_eq!(encode(middle, Rounding::NearestEven), even, "{format:?} {low:#x}");
                assert_eq!(encode(-middle, Rounding::NearestEven), even | format.sign_bit());
                assert_eq!(encode(middle.next_up(), Rounding::NearestEven), low + 1);
                assert_eq!(encode(middle.next_down(), Rounding::NearestEven), low);
                assert_eq!(encode(middle, Rounding::NearestAway), low + 1);
                assert_eq!(encode(above.next_down(), Rounding::Zero), low);
            }
        }
    }

    #[test]
    fn known_values_have_known_bits() {
        let bits = |format: Format, value| format.encode(value, Rounding::NearestEven, false);
        assert_eq!((bits(F16, 1.0), bits(F16, 65504.0), bits(F16, 65520.0)), (0x3C00, 0x7BFF, 0x7C00));
        assert_eq!((bits(F16, 2f64.powi(-24)), bits(F16, f64::NAN)), (1, 0x7FFF));
        assert_eq!((bits(BF16, 1.0), bits(BF16, f64::from(f32::MAX))), (0x3F80, 0x7F80));
        assert_eq!((bits(E4M3, 448.0), bits(E4M3, 1e9), bits(E4M3, 0.0625)), (0x7E, 0x7E, 0x18));
        assert_eq!((bits(E5M2, 57344.0), bits(E5M2, 1e9)), (0x7B, 0x7C));
        assert_eq!(E5M2.encode(1e9, Rounding::NearestEven, true), 0x7B);
        assert_eq!(f32::from_bits(bits(TF32, 1.0) << 13), 1.0);
    }

    #[test]
    fn a_sum_rounded_to_odd_rounds_once() {
        // 1 + 2^-53 + 2^-80 is just above the middle of two numbers of f64, and rounds to the lower of them first.
        let tie = 1.0 + 2f64.powi(-11);
        let sum = add_odd(tie, 2f64.powi(-80));
        assert_eq!(F16.encode(sum, Rounding::NearestEven, false), 0x3C01);
        assert_eq!(F16.encode(tie + 2f64.powi(-80), Rounding::NearestEven, false), 0x3C00);
        assert_eq!(add_odd(1.5, 2.25), 3.75);
        assert!(add_odd(f64::INFINITY, f64::NEG_INFINITY).is_nan());
    }
}
