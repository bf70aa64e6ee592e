//! Plain loops compiled twice, for every processor and for those with AVX2, of which the right one is chosen as the
//! program runs. Both round alike: no operation is fused or reordered.

use pulp::{Scalar, WithSimd};

/// Runs a loop for the vector instructions of this processor. Everything that it calls has to be inlined into it.
pub(super) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(simd, op);
    }
    op.with_simd(Scalar)
}
