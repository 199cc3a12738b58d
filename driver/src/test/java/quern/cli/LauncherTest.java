package quern.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The launcher, with a java and a spark-submit that print their arguments, one a line. */
class LauncherTest {
    private static final String PRINT = "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done\n";

    @TempDir
    Path folder;

    private Path home;
    private Path jar;
    private Path jdk;

    @BeforeEach
    void install() throws IOException {
        home = Files.createDirectories(folder.toRealPath().resolve("a home"));
        Files.copy(Path.of("../quern"), home.resolve("quern"));
        executable(home.resolve("quern"));
        Files.createDirectories(home.resolve("driver/target"));
        Files.writeString(home.resolve("pom.xml"), "<project><spark.jvm.opens>-Da=1 -Db=2</spark.jvm.opens></project>");
        Files.writeString(home.resolve("driver/pom.xml"), "");
        Files.createDirectories(home.resolve("conf/recipes"));
        Files.createDirectories(home.resolve("driver/src/main"));
        jar = Files.writeString(home.resolve("driver/target/quern.jar"), "");
        Files.writeString(home.resolve("driver/target/spark-classpath.txt"), "/m2/a.jar:/m2/b.jar");
        Files.writeString(home.resolve("driver/target/spark-classpath-runtime.txt"), "/m2/c.jar");
        jdk = folder.resolve("my jdk");
        Files.createDirectories(jdk.resolve("bin"));
        Files.writeString(jdk.resolve("bin/java"), PRINT);
        executable(jdk.resolve("bin/java"));
    }

    @Test
    void without_a_spark_it_starts_the_one_that_maven_resolved() throws Exception {
        List<String> said = quern(Map.of(), "quantize", "my model", "--out", "x");
        assertThat(said)
                .containsSubsequence("-cp", "/m2/a.jar:/m2/b.jar:/m2/c.jar", "org.apache.spark.deploy.SparkSubmit");
        assertThat(said).containsSubsequence("--master", "local[*]");
        assertThat(said).containsSubsequence("--properties-file", home + "/conf/spark-defaults.conf");
        assertThat(said).endsWith(jar.toString(), "quantize", "my model", "--out", "x");
        assertThat(said)
                .contains("-Dlog4j2.configurationFile=file:" + (home + "/conf/log4j2.properties").replace(" ", "%20"));
    }

    @Test
    void options_of_spark_submit_go_to_it_and_the_rest_to_quern() throws Exception {
        List<String> said = quern(
                Map.of(),
                "--master",
                "spark://h:7077",
                "--conf",
                "spark.app.name=two words",
                "--driver-memory=3g",
                "--verbose",
                "--properties-file",
                "my.conf",
                "eval",
                "m",
                "--conf",
                "not for Spark");
        assertThat(said).contains("-Xmx3g").containsSubsequence("--driver-memory", "3g");
        assertThat(said).containsSubsequence("--master", "spark://h:7077").doesNotContain("local[*]");
        assertThat(said)
                .containsSubsequence("--properties-file", "my.conf", "--conf", "spark.app.name=two words", "--verbose");
        assertThat(said).endsWith(jar.toString(), "eval", "m", "--conf", "not for Spark");
    }

    @Test
    void the_users_own_spark_is_preferred() throws Exception {
        Path spark = Files.createDirectories(folder.resolve("my spark/bin"));
        Files.writeString(spark.resolve("spark-submit"), "#!/bin/sh\necho \"opts:$SPARK_SUBMIT_OPTS\"\n" + PRINT);
        executable(spark.resolve("spark-submit"));
        List<String> said =
                quern(Map.of("SPARK_HOME", spark.getParent().toString()), "--driver-memory", "2g", "plan", "m");
        assertThat(said.get(0)).startsWith("opts:").contains("log4j2.properties");
        assertThat(said).contains("--driver-memory", "2g").endsWith(jar.toString(), "plan", "m");
        assertThat(said).doesNotContain("org.apache.spark.deploy.SparkSubmit");
    }

    @Test
    void another_collector_may_be_asked_for() throws Exception {
        assertThat(quern(Map.of("JAVA_TOOL_OPTIONS", "-XX:+UseZGC"), "quantize", "demo"))
                .doesNotContain("-XX:+UseSerialGC");
    }

    @Test
    void help_and_version_do_not_start_spark() throws Exception {
        for (String[] arguments :
                new String[][] {{"--help"}, {"--version"}, {"quantize", "--help"}, {"--master", "local", "plan", "-h"}
                }) {
            List<String> said = quern(Map.of(), arguments);
            assertThat(said).contains("quern.Quern").doesNotContain("org.apache.spark.deploy.SparkSubmit");
            assertThat(said).endsWith(arguments[arguments.length - 1]);
            assertThat(said).doesNotContain("--master");
        }
        assertThat(quern(Map.of())).endsWith("quern.Quern");
    }

    @Test
    void it_finds_itself_through_links_from_any_folder() throws Exception {
        Path bin = Files.createDirectories(folder.resolve("bin"));
        Files.createSymbolicLink(bin.resolve("first"), Path.of("../a home/quern"));
        Files.createSymbolicLink(bin.resolve("q"), Path.of("first"));
        assertThat(run(Map.of(), bin.resolve("q").toString(), "inspect", "demo"))
                .endsWith(jar.toString(), "inspect", "demo");
    }

    @Test
    void what_is_missing_is_one_sentence() throws Exception {
        assertThat(quern(Map.of("JAVA_HOME", "/none"), "plan", "m"))
                .containsExactly(
                        "Cannot run quern: JAVA_HOME is /none, which has no bin/java (point it at a JDK 17 or 21)");
        assertThat(quern(Map.of(), "--master")).containsExactly("Cannot run quern: --master lacks its value");
        Files.delete(home.resolve("pom.xml")); // what follows is an installed copy, which cannot be built
        assertThat(quern(Map.of(), "plan", "m"))
                .containsExactly("Cannot run quern: there is no Spark (set SPARK_HOME)");
        Files.delete(jar);
        assertThat(quern(Map.of(), "plan", "m").get(0)).contains("quern.jar is missing");
    }

    @Test
    void a_build_is_started_only_when_sources_are_newer() throws Exception {
        Files.writeString(home.resolve("driver/src/main/A.java"), "");
        Files.writeString(home.resolve("mvnw"), "#!/bin/sh\necho built $*\ntouch driver/target/quern.jar\n");
        executable(home.resolve("mvnw"));
        Files.setLastModifiedTime(jar, FileTime.fromMillis(1));
        assertThat(quern(Map.of(), "plan", "m"))
                .startsWith(
                        "quern: sources changed; building (the first time downloads Spark, some minutes)",
                        "built -q -B -DskipTests package")
                .contains("-Da=1", "-Db=2");
        Files.setLastModifiedTime(jar, FileTime.fromMillis(System.currentTimeMillis() + 5000));
        assertThat(quern(Map.of(), "plan", "m")).doesNotContain("built -q -B -DskipTests package");
    }

    private List<String> quern(Map<String, String> environment, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(home.resolve("quern").toString()));
        command.addAll(Arrays.asList(arguments));
        return run(environment, command.toArray(String[]::new));
    }

    private List<String> run(Map<String, String> environment, String... command) throws Exception {
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).directory(folder.toFile());
        builder.environment().remove("SPARK_HOME");
        builder.environment().remove("SPARK_SUBMIT_OPTS");
        builder.environment().put("JAVA_HOME", jdk.toString());
        builder.environment().putAll(environment);
        Process process = builder.start();
        process.getOutputStream().close();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        return said.lines().toList();
    }

    private static void executable(Path file) throws IOException {
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }
}
