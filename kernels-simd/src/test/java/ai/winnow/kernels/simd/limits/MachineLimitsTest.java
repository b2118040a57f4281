package ai.winnow.kernels.simd.limits;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.kernel.Workers;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** A limit is one only if every byte and every operation that is counted really is in the result. */
class MachineLimitsTest {

    private static final int CHAINS = 12;

    private final int lanes = MachineLimits.vectorBits() / 32;

    @Test
    void everyNumberIsRead() {
        int count = CHAINS * lanes * 7;
        try (Arena arena = Arena.ofShared();
                Workers workers = new Workers(2)) {
            MemorySegment memory = arena.allocate(4L * count, 64);
            for (int i = 0; i < count; i++) {
                memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, i);
            }
            assertThat(MachineLimits.read(memory, workers)).isEqualTo(count * (count - 1) / 2f);
        }
    }

    @Test
    void everyChainIsInTheSum() {
        assertThat(MachineLimits.multiplyAdd(0, 1)).isEqualTo(lanes * (CHAINS + CHAINS * (CHAINS - 1) / 2f));
        float gained = MachineLimits.multiplyAdd(10_000, 0) - MachineLimits.multiplyAdd(0, 0);
        assertThat(gained).isCloseTo(lanes * CHAINS * 10_000 * 1e-6f, within(0.02f * lanes));
    }

    @Test
    void operationsAreTwoForEachElementOfEachThread() {
        try (Workers workers = new Workers(1)) {
            assertThat(MachineLimits.multiplyAdd(5, workers)).isEqualTo(2L * CHAINS * lanes * 5);
        }
    }
}
