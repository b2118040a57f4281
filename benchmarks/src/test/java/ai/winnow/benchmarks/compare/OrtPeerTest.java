package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.DType;
import java.util.List;

class OrtPeerTest extends PeerContract {

    @Override
    Peer peer() {
        return new OrtPeer(2, new Rounds());
    }

    @Override
    List<DType> types() {
        return List.of(DType.F32, DType.BF16, DType.I8);
    }

    @Override
    List<Integer> groups() {
        return List.of(32, 128);
    }
}
