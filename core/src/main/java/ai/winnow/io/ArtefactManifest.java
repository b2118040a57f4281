package ai.winnow.io;

import ai.winnow.ArtefactException;
import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * {@code manifest.json} of an artefact: everything but the tensors, and how to see that the tensors are the ones that belong to it.
 *
 * @param bytes the length of {@link #TENSORS}
 * @param sha256 its digest, in 64 hex digits
 */
record ArtefactManifest(
        String method,
        SortedMap<String, String> parameters,
        String modelFingerprint,
        String dataFingerprint,
        Instant createdAt,
        long bytes,
        String sha256) {

    static final String FILE_NAME = "manifest.json";
    static final String TENSORS = "tensors.safetensors";
    static final int MAX_BYTES = 1 << 20;

    /** Raise it when an older Winnow would misread what a newer one writes. */
    static final long VERSION = 1;

    String json() {
        StringWriter text = new StringWriter();
        try (JsonWriter json = new JsonWriter(text)) {
            json.setIndent("  ");
            json.beginObject();
            json.name("version").value(VERSION);
            json.name("method").value(method);
            json.name("parameters").beginObject();
            for (Map.Entry<String, String> parameter : parameters.entrySet()) {
                json.name(parameter.getKey()).value(parameter.getValue());
            }
            json.endObject();
            json.name("modelFingerprint").value(modelFingerprint);
            json.name("dataFingerprint").value(dataFingerprint);
            json.name("createdAt").value(createdAt.toString());
            json.name("files").beginObject().name(TENSORS).beginObject();
            json.name("bytes").value(bytes);
            json.name("sha256").value(sha256);
            json.endObject().endObject().endObject();
        } catch (IOException e) {
            throw new AssertionError("a StringWriter does not fail", e);
        }
        return text.append('\n').toString();
    }

    /**
     * Reads a manifest.
     *
     * @throws ArtefactException if it is too long, damaged, or of another version
     */
    static ArtefactManifest read(Path file) throws IOException {
        return parse(file, Bounded.read(file, MAX_BYTES));
    }

    /** Reads the text of the manifest {@code file}. */
    static ArtefactManifest parse(Path file, byte[] json) {
        // The version comes first of all: a newer format may have members that the second reading would call damage.
        StrictJson.parse(file, "manifest", json, 0, ArtefactManifest::requireVersion);
        return StrictJson.parse(file, "manifest", json, 0, ArtefactManifest::parse);
    }

    private static long requireVersion(StrictJson json) throws IOException {
        long[] version = {-1};
        json.object("the manifest", name -> {
            if (name.equals("version")) {
                version[0] = json.count("version");
            } else {
                json.skip();
            }
        });
        if (version[0] < 0) {
            throw json.bad("version is missing; this is not the manifest of a Winnow artefact");
        }
        if (version[0] != VERSION) {
            throw json.bad("the artefact has format version " + version[0] + ", this Winnow reads version " + VERSION
                    + "; use the Winnow that wrote it, or calibrate again");
        }
        return version[0];
    }

    /** The members as they are met, in any order. */
    private static final class Draft {
        final Map<String, String> texts = new HashMap<>();

        @Nullable
        SortedMap<String, String> parameters;

        @Nullable
        Instant createdAt;

        long bytes = -1;
    }

    private static ArtefactManifest parse(StrictJson json) throws IOException {
        Draft draft = new Draft();
        json.object("the manifest", name -> {
            switch (name) {
                case "version" -> json.count(name);
                case "method", "modelFingerprint", "dataFingerprint" -> draft.texts.put(name, json.text(name));
                case "parameters" -> draft.parameters = new TreeMap<>(json.texts(name));
                case "createdAt" -> draft.createdAt = instant(json);
                case "files" -> json.object(name, file -> files(json, file, draft));
                default -> throw json.bad("the manifest has the unknown member " + Names.quoted(name));
            }
        });
        SortedMap<String, String> parameters = draft.parameters;
        Instant createdAt = draft.createdAt;
        if (parameters == null || createdAt == null || draft.bytes < 0) {
            String missing = parameters == null ? "parameters" : createdAt == null ? "createdAt" : "files";
            throw json.bad(missing + " is missing");
        }
        return new ArtefactManifest(
                required(json, draft, "method"),
                parameters,
                required(json, draft, "modelFingerprint"),
                required(json, draft, "dataFingerprint"),
                createdAt,
                draft.bytes,
                required(json, draft, "sha256"));
    }

    private static void files(StrictJson json, String file, Draft draft) throws IOException {
        if (!file.equals(TENSORS)) {
            throw json.bad("an artefact has the file " + TENSORS + " and no other, not " + Names.quoted(file));
        }
        json.object(TENSORS, key -> {
            switch (key) {
                case "bytes" -> draft.bytes = json.count(key);
                case "sha256" -> draft.texts.put(key, json.text(key));
                default -> throw json.bad(TENSORS + " has the unknown member " + Names.quoted(key));
            }
        });
    }

    private static Instant instant(StrictJson json) throws IOException {
        String text = json.text("createdAt");
        try {
            return Instant.parse(text);
        } catch (DateTimeException e) {
            throw json.bad("createdAt is not a time such as 2026-01-31T12:00:00Z: " + Names.quoted(text));
        }
    }

    private static String required(StrictJson json, Draft draft, String name) {
        String text = draft.texts.get(name);
        if (text == null) {
            throw json.bad(name + " is missing");
        }
        return text;
    }
}
