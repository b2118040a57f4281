package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.kernel.KernelProvider.Availability;
import ai.winnow.runtime.Backends;
import org.junit.jupiter.api.Test;

class SimdProviderTest {

    /** The build says {@code -Dwinnow.test.require=simd}: then a machine that cannot run the backend is a failure. */
    @Test
    void theRequiredBackendIsReady() {
        if (System.getProperty("winnow.test.require", "").contains("simd")) {
            assertThat(new SimdProvider().probe()).isInstanceOf(Availability.Ready.class);
        }
    }

    @Test
    void theProbeSaysHowWideVectorsAre() {
        if (new SimdProvider().probe() instanceof Availability.Ready ready) {
            assertThat(ready.detail()).contains(Lanes.COUNT + " lanes");
        }
    }

    @Test
    void theBackendIsFoundAsAService() {
        // Core looks the services up: a module finds only those that it says it uses.
        assertThat(Backends.discover().ready()).anyMatch(SimdProvider.class::isInstance);
    }
}
