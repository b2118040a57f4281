package ai.winnow;

import org.jspecify.annotations.Nullable;

/**
 * The root of every error Winnow raises on purpose. A message says what happened, what was expected and found, where, and what
 * to do about it.
 */
public abstract sealed class WinnowException extends RuntimeException
        permits ShapeException,
                UnsupportedModelException,
                IncompatiblePolicyException,
                ArtefactException,
                BackendException,
                OverloadedException {

    private static final long serialVersionUID = 1L;

    WinnowException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
