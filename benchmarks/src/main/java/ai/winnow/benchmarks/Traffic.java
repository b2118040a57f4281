package ai.winnow.benchmarks;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** The secondary metric of every benchmark: gigabytes of operands a second, to be held against the machine's read bandwidth. */
@AuxCounters(AuxCounters.Type.OPERATIONS)
@State(Scope.Thread)
public class Traffic {

    /** Gigabytes moved so far; JMH divides by the time. */
    public double gigabytes;
}
