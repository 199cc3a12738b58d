package quern.app;

import java.util.LinkedHashMap;
import java.util.Map;

/** Versions for the report and the marker. */
final class Version {
    static final String NUMBER = "0.1.0";

    private Version() {}

    static Map<String, String> all() {
        Map<String, String> versions = new LinkedHashMap<>();
        versions.put("quern", NUMBER);
        versions.put("spark", org.apache.spark.package$.MODULE$.SPARK_VERSION());
        versions.put("java", System.getProperty("java.version"));
        versions.put("system", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
        return versions;
    }
}
