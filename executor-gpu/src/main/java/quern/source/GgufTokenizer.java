package quern.source;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The {@code tokenizer.json} and {@code tokenizer_config.json} of a model whose vocabulary stands in a GGUF file: byte-level BPE ({@code
 * gpt2}) whose way of cutting text is known by name, and SentencePiece's BPE ({@code llama}), whose merges follow from its scores.
 */
final class GgufTokenizer {
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final String SPACE = "\u2581";

    /** How text is cut before it is merged, by {@code tokenizer.ggml.pre}; ids of three digits differ between these two. */
    private static final String WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}%s"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    private static final Map<String, String> PATTERNS =
            Map.of("llama-bpe", WORDS.formatted("{1,3}"), "qwen2", WORDS.formatted(""));

    private final Map<String, Object> metadata;
    private final List<String> tokens;
    private final ObjectNode json = JsonNodeFactory.instance.objectNode();

    private GgufTokenizer(Map<String, Object> metadata, List<String> tokens) {
        this.metadata = metadata;
        this.tokens = tokens;
    }

    /** By name; empty where the metadata do not tell how text becomes tokens. */
    static Map<String, JsonNode> files(GgufModel model) {
        Object kind = model.metadata().get("tokenizer.ggml.model");
        List<String> tokens = texts(model.metadata().get("tokenizer.ggml.tokens"));
        GgufTokenizer tokenizer = new GgufTokenizer(model.metadata(), tokens);
        boolean made = !tokens.isEmpty()
                && ("gpt2".equals(kind) ? tokenizer.byteLevel() : "llama".equals(kind) && tokenizer.sentencePiece());
        return made ? Map.of("tokenizer.json", tokenizer.json, "tokenizer_config.json", tokenizer.config()) : Map.of();
    }

    private boolean byteLevel() {
        String pre = String.valueOf(metadata.get("tokenizer.ggml.pre"));
        ArrayNode steps = JsonNodeFactory.instance.arrayNode();
        if (PATTERNS.containsKey(pre)) {
            steps.addObject()
                    .put("type", "Split")
                    .put("behavior", "Isolated")
                    .put("invert", false)
                    .putObject("pattern")
                    .put("Regex", PATTERNS.get(pre));
        } else if (pre.equals("smollm")) {
            steps.addObject().put("type", "Digits").put("individual_digits", true);
        } else if (!pre.equals("gpt-2")) {
            return false;
        }
        steps.add(byteLevel(!PATTERNS.containsKey(pre)));
        head();
        json.set("normalizer", pre.equals("qwen2") ? node("NFC") : null);
        json.putObject("pre_tokenizer").put("type", "Sequence").set("pretokenizers", steps);
        json.set("post_processor", template(pre.equals("llama-bpe")));
        json.set("decoder", byteLevel(true));
        ObjectNode bpe = bpe(texts(metadata.get("tokenizer.ggml.merges")));
        bpe.put("ignore_merges", pre.equals("llama-bpe"));
        return true;
    }

    private boolean sentencePiece() {
        if (!(metadata.get("tokenizer.ggml.scores") instanceof List<?> scores) || scores.size() != tokens.size()) {
            return false;
        }
        head();
        ArrayNode normalizers = JsonNodeFactory.instance.arrayNode();
        if (!Boolean.FALSE.equals(metadata.get("tokenizer.ggml.add_space_prefix"))) {
            normalizers.addObject().put("type", "Prepend").put("prepend", SPACE);
        }
        normalizers.add(replace(" ", SPACE));
        json.putObject("normalizer").put("type", "Sequence").set("normalizers", normalizers);
        json.putNull("pre_tokenizer");
        json.set("post_processor", template(true));
        ArrayNode decoders = JsonNodeFactory.instance.arrayNode();
        decoders.add(replace(SPACE, " ")).add(node("ByteFallback")).add(node("Fuse"));
        decoders.addObject()
                .put("type", "Strip")
                .put("content", " ")
                .put("start", 1)
                .put("stop", 0);
        json.putObject("decoder").put("type", "Sequence").set("decoders", decoders);
        ObjectNode bpe = bpe(merges(scores));
        bpe.put("fuse_unk", true).put("byte_fallback", true).put("ignore_merges", false);
        String unknown = token("unknown_token_id");
        if (unknown != null) {
            bpe.put("unk_token", unknown);
        }
        return true;
    }

    /** A token of two others is a merge; the better its score, the earlier. */
    private List<String> merges(List<?> scores) {
        record Merge(String left, String right, double score, int leftId, int rightId) {}
        Map<String, Integer> ids = new HashMap<>();
        for (int id = 0; id < tokens.size(); id++) {
            ids.put(tokens.get(id), id);
        }
        List<Merge> merges = new ArrayList<>();
        for (int id = 0; id < tokens.size(); id++) {
            String token = tokens.get(id);
            for (int cut = 1; cut < token.length(); cut++) {
                Integer left = ids.get(token.substring(0, cut));
                Integer right = ids.get(token.substring(cut));
                if (left != null && right != null && scores.get(id) instanceof Double score) {
                    merges.add(new Merge(token.substring(0, cut), token.substring(cut), score, left, right));
                }
            }
        }
        merges.sort(Comparator.comparingDouble((Merge merge) -> -merge.score())
                .thenComparingInt(Merge::leftId)
                .thenComparingInt(Merge::rightId));
        return merges.stream().map(merge -> merge.left() + " " + merge.right()).toList();
    }

    private void head() {
        json.put("version", "1.0").putNull("truncation").putNull("padding");
        ArrayNode added = json.putArray("added_tokens");
        List<?> types = metadata.get("tokenizer.ggml.token_type") instanceof List<?> list ? list : List.of();
        for (int id = 0; id < Math.min(types.size(), tokens.size()); id++) {
            boolean special = types.get(id) instanceof Long type && type == CONTROL;
            if (special || types.get(id) instanceof Long type && type == USER_DEFINED) {
                added.addObject()
                        .put("id", id)
                        .put("content", tokens.get(id))
                        .put("single_word", false)
                        .put("lstrip", false)
                        .put("rstrip", false)
                        .put("normalized", false)
                        .put("special", special);
            }
        }
    }

    private ObjectNode bpe(List<String> merges) {
        ObjectNode model = json.putObject("model").put("type", "BPE");
        ObjectNode vocabulary = model.putObject("vocab");
        for (int id = 0; id < tokens.size(); id++) {
            vocabulary.put(tokens.get(id), id);
        }
        ArrayNode list = model.putArray("merges");
        merges.forEach(list::add);
        return model;
    }

    /** The text after the token that begins it, where the model is given one. */
    private ObjectNode template(boolean beginsIfNotSaid) {
        String begin = token("bos_token_id");
        boolean begins = metadata.get("tokenizer.ggml.add_bos_token") instanceof Boolean said ? said : beginsIfNotSaid;
        if (begin == null || !begins) {
            begin = null;
        }
        ObjectNode template = node("TemplateProcessing");
        addPieces(template.putArray("single"), begin, 1);
        addPieces(template.putArray("pair"), begin, 2);
        ObjectNode specials = template.putObject("special_tokens");
        if (begin != null) {
            ObjectNode special = specials.putObject(begin).put("id", begin);
            special.putArray("ids").add(tokens.indexOf(begin));
            special.putArray("tokens").add(begin);
        }
        return template;
    }

    private static void addPieces(ArrayNode pieces, @Nullable String begin, int texts) {
        for (int text = 0; text < texts; text++) {
            if (begin != null) {
                pieces.addObject().putObject("SpecialToken").put("id", begin).put("type_id", text);
            }
            pieces.addObject()
                    .putObject("Sequence")
                    .put("id", text == 0 ? "A" : "B")
                    .put("type_id", text);
        }
    }

    private ObjectNode config() {
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.put("tokenizer_class", "PreTrainedTokenizerFast");
        Map<String, String> names = new LinkedHashMap<>();
        names.put("bos_token", "bos_token_id");
        names.put("eos_token", "eos_token_id");
        names.put("unk_token", "unknown_token_id");
        names.put("pad_token", "padding_token_id");
        names.forEach((name, key) -> {
            String token = token(key);
            if (token != null) {
                config.put(name, token);
            }
        });
        if (metadata.get("tokenizer.chat_template") instanceof String template) {
            config.put("chat_template", template);
        }
        return config;
    }

    /** The token that a key names by its number. */
    private @Nullable String token(String key) {
        return metadata.get("tokenizer.ggml." + key) instanceof Long id && id >= 0 && id < tokens.size()
                ? tokens.get(id.intValue())
                : null;
    }

    private static List<String> texts(@Nullable Object list) {
        return list instanceof List<?> values && values.stream().allMatch(String.class::isInstance)
                ? values.stream().map(String.class::cast).toList()
                : List.of();
    }

    private static ObjectNode node(String type) {
        return JsonNodeFactory.instance.objectNode().put("type", type);
    }

    private static ObjectNode replace(String from, String to) {
        ObjectNode replace = node("Replace");
        replace.putObject("pattern").put("String", from);
        return replace.put("content", to);
    }

    private static ObjectNode byteLevel(boolean regex) {
        return node("ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", regex);
    }
}
