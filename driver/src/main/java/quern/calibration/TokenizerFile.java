package quern.calibration;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;

/**
 * Refuses a tokenizer.json that the native library does not survive: where it panics instead of returning an error, the whole
 * process ends. It panics on some of what its JSON reader calls an error (wrong syntax, deep nesting, half surrogate pairs,
 * numbers beyond a double), and on a template that names a special token which it does not define. What would take minutes is refused, too.
 */
final class TokenizerFile {
    /** serde_json reads 127 levels, and the values that its caller has taken apart already count again. */
    private static final int DEEPEST = 64;

    /** The time to prepare added tokens grows with the square of their length: one of 70,000 characters took 49 s. */
    private static final int LONGEST_ADDED = 4096;

    private static final JsonFactory JSON = new ObjectMapper(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(DEEPEST)
                            .maxStringLength(Integer.MAX_VALUE)
                            .maxNumberLength(300)
                            .build())
                    .build())
            .getFactory();

    private TokenizerFile() {}

    /** Reads all of it; an IOException says what is wrong. */
    static void check(String json) throws IOException {
        checkJson(json);
        checkParts(json);
    }

    private static void checkParts(String json) throws IOException {
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String part = parser.currentName();
                parser.nextToken();
                switch (part) {
                    case "post_processor" -> checkTemplates(parser.<JsonNode>readValueAsTree());
                    case "added_tokens" -> checkAdded(parser.<JsonNode>readValueAsTree());
                    default -> parser.skipChildren(); // the vocabulary is large
                }
            }
        }
    }

    private static void checkAdded(JsonNode tokens) throws IOException {
        for (JsonNode token : tokens) {
            int length = token.path("content").asText("").length();
            if (length > LONGEST_ADDED) {
                throw new IOException("an added token of it has " + length + " characters");
            }
        }
    }

    private static void checkTemplates(JsonNode processor) throws IOException {
        for (String template : new String[] {"single", "pair"}) {
            for (JsonNode piece : processor.path(template)) {
                JsonNode token = piece.path("SpecialToken").path("id");
                if (token.isTextual() && !processor.path("special_tokens").has(token.textValue())) {
                    throw new IOException("its post-processor does not define the special token " + token);
                }
            }
        }
        for (JsonNode part : processor) {
            checkTemplates(part);
        }
    }

    private static void checkJson(String json) throws IOException {
        try (JsonParser parser = JSON.createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("it is no JSON object");
            }
            int depth = 1;
            while (depth > 0) {
                JsonToken token = parser.nextToken();
                if (token == null) {
                    throw new IOException("it ends too early");
                }
                depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
                if (token == JsonToken.FIELD_NAME || token == JsonToken.VALUE_STRING) {
                    checkPairs(parser.getText());
                } else if (token == JsonToken.VALUE_NUMBER_FLOAT && !Double.isFinite(parser.getDoubleValue())) {
                    throw new IOException("a number in it is beyond every type");
                }
            }
            if (parser.nextToken() != null) {
                throw new IOException("something follows its end");
            }
        }
    }

    private static void checkPairs(String text) throws IOException {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isHighSurrogate(text.charAt(i))
                    && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(text.charAt(i))) {
                throw new IOException("a string in it holds half of a surrogate pair");
            }
        }
    }
}
