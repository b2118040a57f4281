package ai.winnow;

import org.jspecify.annotations.Nullable;

/** A checkpoint or artefact file that is missing, damaged or made for something else. */
public final class ArtefactException extends WinnowException {

    private static final long serialVersionUID = 1L;

    public ArtefactException(String message) {
        this(message, null);
    }

    public ArtefactException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
