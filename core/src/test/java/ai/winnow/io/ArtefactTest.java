package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class ArtefactTest {

    private static final Instant TIME = Instant.parse("2026-01-31T12:00:00Z");

    private static Artefact artefact(Map<String, Tensor> tensors) {
        return new Artefact("teal", new TreeMap<>(Map.of("samples", "64")), "9f3c", "77ab", TIME, tensors);
    }

    @Test
    void anAbsentTensorIsAnsweredWithCloseMatches() {
        Tensor tensor = Tensor.copyOf(Arena.ofAuto(), new float[] {1}, 1);
        Artefact artefact = artefact(Map.of("layers.3.down", tensor));
        assertThat(artefact.has("layers.3.down")).isTrue();
        assertThat(artefact.tensor("layers.3.down")).isSameAs(tensor);
        assertThat(artefact.has("layers.4.down")).isFalse();
        assertThatThrownBy(() -> artefact.tensor("layers.4.down"))
                .isInstanceOf(ArtefactException.class)
                .hasMessage("the teal artefact of 2026-01-31T12:00:00Z has no tensor 'layers.4.down';"
                        + " close matches: 'layers.3.down'");
    }

    @Test
    void anArtefactForAnotherModelIsRefusedWithBothFingerprints() {
        Artefact artefact = artefact(Map.of());
        assertThat(artefact.require("9f3c")).isSameAs(artefact);
        assertThatThrownBy(() -> artefact.require("1234"))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContainingAll("'9f3c'", "'1234'", "calibrate again with this model");
    }

    @Test
    void theEmptyArtefactFitsNoModelAndSaysWhatToDo() {
        assertThat(Artefact.EMPTY.isEmpty()).isTrue();
        assertThat(artefact(Map.of()).isEmpty()).isFalse();
        assertThatThrownBy(() -> Artefact.EMPTY.require("1234"))
                .hasMessage("a calibration for the model with fingerprint '1234' is needed and none was given;"
                        + " run the calibration and pass what it wrote");
        assertThatThrownBy(() -> Artefact.EMPTY.tensor("x"))
                .hasMessage("the empty artefact has no tensor 'x'; there are none;"
                        + " run the calibration and pass what it wrote");
    }

    @Test
    void anArtefactDoesNotChangeWithTheMapsItWasMadeOf() {
        Map<String, Tensor> tensors = new HashMap<>();
        Artefact artefact = artefact(tensors);
        tensors.put("late", Tensor.copyOf(Arena.ofAuto(), new float[] {1}, 1));
        assertThat(artefact.tensors()).isEmpty();
        assertThatThrownBy(() -> artefact.parameters().clear()).isInstanceOf(UnsupportedOperationException.class);
    }
}
