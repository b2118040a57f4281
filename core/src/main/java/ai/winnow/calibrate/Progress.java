package ai.winnow.calibrate;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A line in the log every two seconds of work, none if it takes less. */
final class Progress {

    private static final Logger LOG = LoggerFactory.getLogger(CalibrationRun.class);
    private static final long SILENCE_NANOS = 2_000_000_000L;

    private long last = System.nanoTime();

    void at(String what, long done, long of) {
        if (System.nanoTime() - last > SILENCE_NANOS) {
            last = System.nanoTime();
            LOG.info("calibration: {}, {} of {}", what, done, of);
        }
    }
}
