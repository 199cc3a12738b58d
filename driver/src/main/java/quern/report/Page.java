package quern.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Puts the parts of {@code report.html} into one file. */
final class Page {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Page() {}

    static String of(Report report) {
        // The script goes in last: it is the only part that may contain the marks of the others.
        return resource("report.html")
                .replace("{{title}}", escaped(report.model()))
                .replace("{{style}}", resource("report.css"))
                .replace("{{facts}}", facts(report))
                .replace("{{page}}", resource("report.js"))
                .replace("{{echarts}}", resource("echarts.min.js"));
    }

    private static String facts(Report report) {
        try {
            return JSON.writeValueAsString(Map.of(
                            "report",
                            report,
                            "programs",
                            LoadGuide.of(report.recipe(), report.modelType(), report.output(), report.linears())))
                    .replace("<", "\\u003c")
                    .replace("{{", "{\\u007b");
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("The report's facts are plain values", e);
        }
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace("{{", "{&#123;");
    }

    private static String resource(String name) {
        try (InputStream in = Page.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IllegalStateException("The resource quern/report/" + name + " is not on the class path");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
