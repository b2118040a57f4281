package ai.winnow;

import org.jspecify.annotations.Nullable;

/** A backend that is missing or cannot go on: no memory, no free page or sequence, a failed device, a non-finite result. */
public final class BackendException extends WinnowException {

    private static final long serialVersionUID = 1L;

    public BackendException(String message) {
        this(message, null);
    }

    public BackendException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
