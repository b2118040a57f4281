package ai.winnow.runtime;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** What attention of one step read of the cache. Off unless a recording asks for it; counting costs time then, which the event's duration has. */
@Name("winnow.AttentionStep")
@Label("Attention of a step")
@Category("Winnow")
@Description("Keys, values and what is kept beside them that attention of all layers read in one step")
@Enabled(false)
@StackTrace(false)
final class AttentionStep extends Event {

    @Label("Phase")
    String phase = "";

    @Label("Sequences")
    int sequences;

    @Label("Rows")
    int rows;

    @Label("Read")
    @DataAmount
    long bytesRead;

    @Label("Read by attention to all keys")
    @DataAmount
    long bytesDense;

    @Label("Rows dropped from the cache, of all heads together")
    long droppedRows;

    @Label("Free pages of the cache afterwards")
    int freePages;
}
