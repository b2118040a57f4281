package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.DType;
import java.util.List;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** {@code benchmarks} has libtorch's native library for this system only. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64")
class LibtorchPeerTest extends PeerContract {

    @Override
    Peer peer() {
        return new LibtorchPeer(2);
    }

    @Override
    List<DType> types() {
        return List.of(DType.F32, DType.BF16);
    }

    @Override
    List<Integer> groups() {
        return List.of();
    }
}
