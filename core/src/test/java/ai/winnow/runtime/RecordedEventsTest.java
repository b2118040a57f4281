package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.Calibration.Probe;
import ai.winnow.method.Calibration.Tap;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecordedEventsTest {

    @TempDir
    private Path folder;

    @Test
    void aRecordingThatAsksForStepsSaysWhatAttentionRead() throws IOException {
        try (SparseModel model = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of());
                Session session = model.newSession();
                Recording recording = new Recording()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, 1, 2, 3)); // before it
            recording.enable("winnow.AttentionStep");
            recording.start();
            session.run(Phase.PREFILL, Batch.of(sequence, 4, 5));
            session.run(Phase.DECODE, Batch.of(sequence, 6));
            List<RecordedEvent> events = events(recording);
            assertThat(events).hasSize(2);
            assertThat(events.getFirst().getString("phase")).isEqualTo("PREFILL");
            assertThat(events.getFirst().getInt("rows")).isEqualTo(2);
            // Two layers, two heads of 8 floats, keys and values; two rows see 4 and 5 keys, then one sees 6.
            assertThat(events.getFirst().getLong("bytesRead")).isEqualTo(2 * 2 * 2 * 8 * 4 * (4 + 5));
            assertThat(events.getLast().getLong("bytesDense")).isEqualTo(2 * 2 * 2 * 8 * 4 * 6);
            assertThat(events.getLast().getInt("freePages")).isEqualTo(session.freePages());
        }
    }

    @Test
    void aRecordingThatAsksForPassesSaysWhatWasObserved() throws IOException {
        try (SparseModel model = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of());
                Recording recording = new Recording()) {
            recording.enable("winnow.CalibrationPass");
            recording.start();
            CalibrationRun.calibrate(model, new Looks(), CalibrationData.of(TinyModel.windows(1, 2, 9)));
            List<RecordedEvent> events = events(recording);
            assertThat(events).hasSize(1);
            assertThat(events.getFirst().getInt("windows")).isEqualTo(2);
            assertThat(events.getFirst().getLong("tokens")).isEqualTo(18);
            assertThat(events.getFirst().getInt("observed")).isEqualTo(1);
        }
    }

    private List<RecordedEvent> events(Recording recording) throws IOException {
        recording.stop();
        Path file = folder.resolve("events.jfr");
        recording.dump(file);
        return RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().startsWith("winnow."))
                .toList();
    }

    /** Looks at one value and keeps nothing. */
    private record Looks() implements SparsityMethod {

        @Override
        public MethodInfo info() {
            return new MethodInfo("looks", "looks at one value", "none");
        }

        @Override
        public String spec() {
            return "looks";
        }

        @Override
        public Optional<Calibrator> calibrator() {
            return Optional.of(calibration -> {
                calibration.observe(Map.of(
                        new Probe(
                                calibration
                                        .graph(Phase.PREFILL)
                                        .at(Role.ATTENTION)
                                        .getFirst()
                                        .site(),
                                Tap.INPUT),
                        (values, rows) -> {}));
                return Map.of();
            });
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of();
        }
    }
}
