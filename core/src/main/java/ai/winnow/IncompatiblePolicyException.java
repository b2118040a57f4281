package ai.winnow;

import org.jspecify.annotations.Nullable;

/** A sparsity policy that cannot be applied: unknown or conflicting methods, bad parameters, missing calibration. */
public final class IncompatiblePolicyException extends WinnowException {

    private static final long serialVersionUID = 1L;

    public IncompatiblePolicyException(String message) {
        this(message, null);
    }

    public IncompatiblePolicyException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
