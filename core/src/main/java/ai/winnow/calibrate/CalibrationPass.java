package ai.winnow.calibrate;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** One run of a model over all calibration data. Off unless a recording asks for it. */
@Name("winnow.CalibrationPass")
@Label("Pass over calibration data")
@Category("Winnow")
@Description("One run of a model over all calibration data, with what a method observes")
@Enabled(false)
@StackTrace(false)
final class CalibrationPass extends Event {

    @Label("Windows")
    int windows;

    @Label("Tokens")
    long tokens;

    @Label("Observed values")
    int observed;
}
