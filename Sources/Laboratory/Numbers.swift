#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// `base` to the power of `exponent`; 1 to any power is exactly 1.
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
