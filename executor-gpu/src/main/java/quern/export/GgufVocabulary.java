package quern.export;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.store.BlobStore;

/**
 * The keys of a file that say how text becomes tokens, of {@code tokenizer.json} and {@code tokenizer_config.json}: byte-level BPE ({@code
 * gpt2}), and the BPE of SentencePiece ({@code llama}), which merges by the scores of tokens: those of their merges, the earlier the better.
 */
final class GgufVocabulary {
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    private static final int BYTE = 6;
    private static final String SPACE = "\u2581";

    /** Of tokens that no merge makes. */
    private static final float NEVER = -1e6f;

    private static final ObjectMapper JSON = new ObjectMapper();

    private final BlobStore store;
    private final JsonNode tokenizer;
    private final JsonNode config;
    private final JsonNode model; // the model's own config
    private final String[] tokens;
    private final Integer[] types;
    private final Map<String, Integer> ids = new HashMap<>();

    private GgufVocabulary(BlobStore store, JsonNode tokenizer, JsonNode config, JsonNode model, int size) {
        this.store = store;
        this.tokenizer = tokenizer;
        this.config = config;
        this.model = model;
        tokens = new String[size];
        types = new Integer[size];
    }

    /**
     * @param model {@code config.json}
     * @param size rows of the embedding
     */
    static GgufVocabulary read(BlobStore store, JsonNode model, int size) throws IOException {
        if (!store.exists("tokenizer.json")) {
            throw new QuernException(
                    "Cannot write %s as GGUF: it has no tokenizer.json, and the file holds the tokenizer"
                                    .formatted(store.location())
                            + " (save it with a fast tokenizer, or use another format)");
        }
        GgufVocabulary vocabulary = new GgufVocabulary(
                store,
                json(store, "tokenizer.json"),
                store.exists("tokenizer_config.json")
                        ? json(store, "tokenizer_config.json")
                        : JsonNodeFactory.instance.objectNode(),
                model,
                size);
        vocabulary.fill();
        return vocabulary;
    }

    private static JsonNode json(BlobStore store, String file) throws IOException {
        return JSON.readTree(text(store, file));
    }

    private static String text(BlobStore store, String file) throws IOException {
        ByteBuffer bytes = store.read(file, 0, Math.toIntExact(store.length(file)));
        return StandardCharsets.UTF_8.decode(bytes).toString();
    }

    void addTo(Map<String, Object> metadata) throws IOException {
        if (byteLevel(tokenizer.path("pre_tokenizer"))) {
            metadata.put("tokenizer.ggml.model", "gpt2");
            metadata.put("tokenizer.ggml.pre", PreTokenizers.name(tokenizer, this::refused));
            put(metadata);
            metadata.put("tokenizer.ggml.merges", merges());
        } else if (pieces()) {
            metadata.put("tokenizer.ggml.model", "llama");
            metadata.put("tokenizer.ggml.pre", "default");
            put(metadata);
            metadata.put("tokenizer.ggml.scores", scores());
            metadata.put("tokenizer.ggml.add_space_prefix", hasStep("Prepend"));
        } else {
            throw refused("its tokenizer is neither byte-level BPE nor that of SentencePiece");
        }
        addSpecials(metadata);
        String template = chatTemplate();
        if (template != null) {
            metadata.put("tokenizer.chat_template", template);
        }
    }

    private void put(Map<String, Object> metadata) {
        metadata.put("tokenizer.ggml.tokens", Arrays.asList(tokens));
        metadata.put("tokenizer.ggml.token_type", Arrays.asList(types));
    }

    private void fill() {
        if (!tokenizer.path("model").path("type").asText("BPE").equals("BPE")) {
            throw refused(
                    "its tokenizer is a " + tokenizer.path("model").path("type").asText() + " model");
        }
        boolean bytes = tokenizer.path("model").path("byte_fallback").asBoolean();
        String unknown = tokenizer.path("model").path("unk_token").asText("");
        tokenizer.path("model").path("vocab").fields().forEachRemaining(entry -> {
            String token = entry.getKey();
            boolean isByte = bytes && token.matches("<0x[0-9A-F]{2}>");
            put(entry.getValue().asInt(), token, isByte ? BYTE : NORMAL);
        });
        for (JsonNode added : tokenizer.path("added_tokens")) {
            String content = added.path("content").asText();
            boolean special = added.path("special").asBoolean();
            int type = special ? content.equals(unknown) && !unknown.isEmpty() ? UNKNOWN : CONTROL : USER_DEFINED;
            put(added.path("id").asInt(), content, type);
        }
        for (int id = 0; id < tokens.length; id++) {
            if (types[id] == null) { // rows of the embedding that stand for nothing
                put(id, "[PAD" + id + "]", UNUSED);
            }
        }
    }

    private void put(int id, String token, int type) {
        if (id < 0 || id >= tokens.length) {
            throw refused("its tokenizer has token " + id + ", and its embedding " + tokens.length + " rows");
        }
        tokens[id] = token;
        types[id] = type;
        ids.put(token, id);
    }

    private static boolean byteLevel(JsonNode step) {
        if (step.path("type").asText().equals("Sequence")) {
            for (JsonNode each : step.path("pretokenizers")) {
                if (byteLevel(each)) {
                    return true;
                }
            }
        }
        return step.path("type").asText().equals("ByteLevel");
    }

    /** Whether spaces are a sign like others, and what is merged is not cut before. */
    private boolean pieces() {
        JsonNode cut = tokenizer.path("pre_tokenizer");
        boolean cuts = !cut.isNull()
                && !cut.isMissingNode()
                && !cut.path("type").asText().equals("Split");
        return !cuts
                && hasStep("Replace")
                && tokenizer.path("normalizer").toString().contains(SPACE);
    }

    private boolean hasStep(String normalizer) {
        JsonNode step = tokenizer.path("normalizer");
        for (JsonNode each : step.path("normalizers")) {
            if (each.path("type").asText().equals(normalizer)) {
                return true;
            }
        }
        return step.path("type").asText().equals(normalizer);
    }

    /** In order; the halves of one with a space between. */
    private List<String> merges() {
        List<String> merges = new ArrayList<>();
        for (JsonNode merge : tokenizer.path("model").path("merges")) {
            merges.add(merge.isArray() ? half(merge.path(0)) + " " + half(merge.path(1)) : merge.asText());
        }
        return merges;
    }

    private static String half(JsonNode text) {
        return text.asText().replace(' ', '\u0120');
    }

    private List<Float> scores() {
        List<Float> scores = new ArrayList<>(Collections.nCopies(tokens.length, NEVER));
        int rank = 0;
        for (JsonNode merge : tokenizer.path("model").path("merges")) {
            String whole = merge.isArray()
                    ? merge.path(0).asText() + merge.path(1).asText()
                    : merge.asText().replace(" ", "");
            Integer id = ids.get(whole);
            if (id != null && scores.get(id) == NEVER) {
                scores.set(id, (float) -rank);
            }
            rank++;
        }
        return scores;
    }

    private void addSpecials(Map<String, Object> metadata) {
        Integer begin = special(metadata, "bos_token", "bos_token_id", "bos_token_id");
        special(metadata, "eos_token", "eos_token_id", "eos_token_id");
        special(metadata, "unk_token", "unk_token_id", "unknown_token_id");
        special(metadata, "pad_token", "pad_token_id", "padding_token_id");
        metadata.put("tokenizer.ggml.add_bos_token", begin != null && begins(begin));
        metadata.put("tokenizer.ggml.add_eos_token", false);
    }

    private @Nullable Integer special(Map<String, Object> metadata, String name, String ofModel, String key) {
        JsonNode said = config.path(name);
        Integer id = ids.get(said.isObject() ? said.path("content").asText() : said.asText());
        JsonNode number = model.path(ofModel);
        if (id == null && (number.isInt() || number.path(0).isInt())) {
            id = number.isInt() ? number.asInt() : number.path(0).asInt();
        }
        if (id == null || id < 0 || id >= tokens.length) {
            return null;
        }
        metadata.put("tokenizer.ggml." + key, id);
        return id;
    }

    /** Whether text is given its first token: as {@code tokenizer.json} says, which transformers goes by. */
    private boolean begins(int begin) {
        JsonNode template = template(tokenizer.path("post_processor"));
        if (template == null) {
            return false;
        }
        String first =
                template.path("single").path(0).path("SpecialToken").path("id").asText();
        JsonNode named = template.path("special_tokens").path(first).path("ids").path(0);
        String last = template.path("single")
                .path(template.path("single").size() - 1)
                .path("SpecialToken")
                .path("id")
                .asText("");
        if (template.path("single").size() > 1 && !last.isEmpty()) {
            throw refused("its tokenizer ends text with " + last);
        }
        return named.isInt() && named.asInt() == begin;
    }

    private static @Nullable JsonNode template(JsonNode step) {
        for (JsonNode each : step.path("processors")) {
            if (template(each) != null) {
                return template(each);
            }
        }
        return step.path("type").asText().equals("TemplateProcessing") ? step : null;
    }

    private @Nullable String chatTemplate() throws IOException {
        if (store.exists("chat_template.jinja")) {
            return text(store, "chat_template.jinja");
        }
        JsonNode template = config.path("chat_template");
        if (template.isArray()) {
            for (JsonNode each : template) {
                if (each.path("name").asText().equals("default")) {
                    return each.path("template").asText();
                }
            }
        }
        return template.isTextual() ? template.asText() : null;
    }

    private QuernException refused(String reason) {
        return new QuernException("Cannot write %s as GGUF: %s, which llama.cpp does not know (use another format)"
                .formatted(store.location(), reason));
    }
}
