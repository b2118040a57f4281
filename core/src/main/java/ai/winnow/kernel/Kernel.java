package ai.winnow.kernel;

import ai.winnow.tensor.Operands;

/**
 * One op on one backend, for one shape. A kernel keeps no state between calls and may be run by several sessions at once. After
 * warm-up {@link #run} allocates nothing, logs nothing and checks nothing: shapes were checked when the plan was made.
 */
public interface Kernel {

    /** The name that {@code explain()} prints; says element type, op and layout. */
    String name();

    /** Scratch memory that a run needs at most, whatever the number of threads. */
    default long workspaceBytes() {
        return 0;
    }

    /** Computes the outputs from the inputs. */
    void run(Operands operands, Workspace workspace);
}
