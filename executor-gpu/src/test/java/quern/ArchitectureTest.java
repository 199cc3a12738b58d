package quern;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The dependency table of DESIGN.md. */
@AnalyzeClasses(packages = "quern", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    @ArchTest
    static final ArchRule core_does_not_know_spark = noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("org.apache.spark..", "org.apache.hadoop..", "scala..");

    @ArchTest
    static final ArchRule no_cycles =
            slices().matching("quern.(*)..").should().beFreeOfCycles().allowEmptyShould(true);

    @ArchTest
    static final ArchRule the_flow_stands_on_tasks_and_these_on_the_workbench = layeredArchitecture()
            .consideringOnlyDependenciesInLayers()
            .layer("flow")
            .definedBy("quern.run")
            .layer("pass")
            .definedBy("quern.run.pass")
            .layer("shard")
            .definedBy("quern.run.shard")
            .layer("workbench")
            .definedBy("quern.run.workbench")
            .whereLayer("flow")
            .mayNotBeAccessedByAnyLayer()
            .whereLayer("pass")
            .mayOnlyBeAccessedByLayers("flow")
            .whereLayer("shard")
            .mayOnlyBeAccessedByLayers("flow", "pass")
            .whereLayer("workbench")
            .mayOnlyBeAccessedByLayers("flow", "pass", "shard");

    @ArchTest
    static final ArchRule only_calibrate_sees_arrow = noClasses()
            .that()
            .resideOutsideOfPackage("quern.calibrate..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.apache.arrow..");

    @ArchTest
    static final ArchRule only_the_cpu_device_sees_natives = noClasses()
            .that()
            .resideOutsideOfPackage("quern.device.cpu..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.bytedeco..");

    @ArchTest
    static final ArchRule only_the_cuda_device_sees_the_driver = noClasses()
            .that()
            .resideOutsideOfPackage("quern.device.cuda..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("jcuda..");

    @ArchTest
    static final ArchRule a_format_never_sees_a_device_or_a_method = noClasses()
            .that()
            .resideInAPackage("quern.format..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("quern.device..", "quern.method..", "quern.model..", "quern.run..");

    @ArchTest
    static final ArchRule a_method_never_sees_bytes = noClasses()
            .that()
            .resideInAPackage("quern.method..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("quern.format..", "quern.store..", "quern.model..", "quern.run..");

    @ArchTest
    static final ArchRule values_depend_on_values = noClasses()
            .that()
            .resideInAnyPackage("quern.tensor..", "quern.scheme..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "quern.store..",
                    "quern.model..",
                    "quern.device..",
                    "quern.method..",
                    "quern.format..",
                    "quern.run..");
}
