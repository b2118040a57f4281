package ai.winnow.kernels.simd;

import ai.winnow.Settings;
import ai.winnow.kernel.KernelProvider.Availability;
import java.util.Optional;

/** What the vectors of this machine are like, and whether this JVM compiles operations on them. */
final class Machine {

    private static final int MIN_BITS = 128;

    private Machine() {}

    /** Asks the JVM what it is: to measure it would take longer than compiling takes on a busy machine. */
    static Availability probe() {
        int bits = Lanes.F.vectorBitSize();
        if (bits < MIN_BITS) {
            // A JVM without vector intrinsics prefers 64 bits, too.
            return new Availability.Missing("this JVM's vectors have " + bits + " bits, the kernels need " + MIN_BITS
                    + "; it may run without vector support (-XX:-EnableVectorSupport, or not HotSpot's C2), or with"
                    + " -XX:MaxVectorSize, -XX:UseAVX or -XX:UseSSE set too low");
        }
        Optional<String> missing = Settings.missingCompiler();
        if (missing.isPresent()) {
            return new Availability.Missing(
                    missing.get() + ": vector operations would run a thousand times slower than they should");
        }
        return new Availability.Ready(bits + "-bit vectors, " + Lanes.COUNT + " lanes, compress "
                + (Selection.FAST_COMPRESS ? "fast" : "slow"));
    }
}
