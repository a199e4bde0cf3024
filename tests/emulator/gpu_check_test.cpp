#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

/// launch/gpu_check: with the emulated GPU and tiny shapes, without any, and with programs that break.
namespace mtrank {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using testing::ProcessResult;
using Json = nlohmann::json;

ProcessResult gpu_check(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"python3", MTRANK_SOURCE_DIR "/launch/gpu_check"});
  return testing::run_process({arguments, {"MTRANK_DATA="}, ""});
}

TEST(GpuCheck, SaysThatThereIsNoGpuAndCountsTheTestsThatAreSkipped) {
  const TempDir dir;
  std::filesystem::create_symlink(MTRANK_BINARY, dir / "mtrank");
  const ProcessResult r = gpu_check({"--build", dir.path()});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("no GPU that can be used here (this build has no CUDA)"));
  EXPECT_THAT(r.out, ContainsRegex("at least [0-9]+ GPU tests skipped"));
  std::ofstream(dir / "cuda_tests")
      << "#!/bin/sh\ncase $2 in --gtest_filter='Cuda*:*/Cuda*') printf 'CudaSuite.\\n  One\\n  Two\\n';; esac";
  std::filesystem::permissions(dir / "cuda_tests", std::filesystem::perms::owner_all);
  EXPECT_THAT(gpu_check({"--build", dir.path()}).out, HasSubstr("; 2 GPU tests skipped"));
}

TEST(GpuCheck, EndsWithATableAndWritesEveryFigureWithItsCommand) {
  const TempDir dir;
  std::filesystem::create_symlink(MTRANK_CUDA_BINARY, dir / "mtrank");
  const ProcessResult r =
      gpu_check({"--dry-run", "--quick", "--accuracy", "--build", dir.path(), "--out", dir / "gpu.json"});
  // The tests of the GPU are not beside that program, so their part fails, and no target of speed is met.
  EXPECT_EQ(r.code, 1) << r.out << r.err;
  EXPECT_THAT(r.out, HasSubstr("not measured; wrote "));
  const Json json = Json::parse(testing::read_text(dir / "gpu.json"));
  EXPECT_THAT(json["machine"]["gpu"].get<std::string>(), HasSubstr("compute capability"));
  std::map<std::string, std::string> status;
  for (const Json& figure : json["figures"]) {
    status[figure["name"]] = figure["status"];
    if (figure["status"] == "pass") {
      EXPECT_NE(figure["command"], "") << figure;
    }
  }
  EXPECT_EQ(status["GPU tests"], "FAIL");
  EXPECT_EQ(status["20 steps end with the same hash: two runs"], "pass") << r.out;
  EXPECT_EQ(status["20 steps end with the same hash: --no-graph"], "pass") << r.out;
  EXPECT_EQ(status["20 steps end with the same hash: resumed at 10"], "pass") << r.out;
  EXPECT_EQ(status["first 50 losses beside the CPU's, fp32"], "pass") << r.out;
  EXPECT_NE(status["click: mean test AUC, fp32"], "") << r.out;
  EXPECT_NE(status["cart: mean test AUC, bf16"], "") << r.out;
  EXPECT_EQ(status["funnel, batch 4,096: batches on the GPU"], "FAIL") << r.out;
}

/// Those of mtrank in docs/benchmarks.md that no GPU has run yet, on a tiny model with tiny numbers.
TEST(GpuBenchmarks, CommandsOfOpenFiguresRunAndSayThem) {
  const TempDir dir;
  const std::string root = MTRANK_SOURCE_DIR, text = testing::read_text(root + "/docs/benchmarks.md");
  const auto tiny = [&](std::string words) {
    for (const auto& [from, to] : std::vector<std::pair<const char*, std::string>>{
             {"build-cuda/mtrank", MTRANK_CUDA_BINARY},
             {"configs/[a-z0-9_/]+\\.yaml", root + "/tests/reproducibility/small.yaml"},
             {"FUNNEL_MODEL", "DLRM_MODEL"},
             {"funnel.mtb", "dlrm.mtb"},
             {"--batch [0-9]+", "--batch 8"},
             {"--rows-cap [0-9]+", "--rows-cap 500"},
             {"--rows [0-9]+", "--rows 1500"},
             {"train.max_steps=[0-9]+", "train.max_steps=3"}})
      words = std::regex_replace(words, std::regex(from), to);
    if (words.find("$MTRANK bench") == 0) words += " --steps 2 --ceiling-size 8";
    if (words.find("$MTRANK train") == 0) words += " --set train.max_steps=3";
    if (words.find("synth funnel") != words.npos) words += " --plain";
    return words;
  };
  const std::string section = text.substr(text.find("\n## On a GPU: open\n"));
  const std::regex setting("\n    ([A-Z_]+=.*)"), command("`(\\$MTRANK [^`]+)`");
  std::string settings;
  for (auto m = std::sregex_iterator(section.begin(), section.end(), setting); m != std::sregex_iterator(); ++m)
    settings += tiny((*m)[1]) + "\n";
  std::vector<std::string> commands;
  for (auto m = std::sregex_iterator(section.begin(), section.end(), command); m != std::sregex_iterator(); ++m)
    commands.push_back(tiny((*m)[1]));
  // The log comes first.
  std::stable_partition(commands.begin(), commands.end(), [](auto& c) { return c.find("synth funnel") != c.npos; });
  std::set<std::string> done;
  for (const std::string& words : commands) {
    if (!done.insert(words).second || words.find("--ceilings") != words.npos) continue;  // that one has no small shapes
    const ProcessResult r =
        testing::run_process({{"bash", "-euc", settings + words}, {"FUNNEL=" + dir / "data/funnel"}, dir.path()});
    EXPECT_EQ(r.code, 0) << words << "\n" << r.out << r.err;
    const auto says = [&](const char* option, std::vector<const char*> figures) {
      if (words.find(option) == words.npos) return;
      for (const char* figure : figures) EXPECT_THAT(r.out, HasSubstr(figure)) << words;
    };
    says("_MODEL $GPU", {"resident on the device", "samples/s", "memory "});
    says("--data ", {"from files: "});
    says("--profile", {"lookup ", "sort ids ", "table update ", "of ceiling"});
    says("$MTRANK train", {"samples/s", "data ", "wrote "});
  }
  EXPECT_GT(done.size(), 20u);
  const auto bundle = [&](const std::string& run) {
    return testing::read_text(dir / "runs/" + run + "/model.safetensors");
  };
  for (const char* same : {"two", "eager", "resumed"}) EXPECT_TRUE(bundle(same) == bundle("one")) << same;
}

/// Stand-ins for mtrank, its tests and compute-sanitizer in a folder that comes first on the PATH.
class GpuCheckOfStubs : public ::testing::Test {
 protected:
  GpuCheckOfStubs() {
    script("cuda_tests", R"sh(
case "$*" in *--gtest_list_tests*) printf 'Suite.\n  Crashes\n  Hides  # in the same process\n  Lies\n'; exit;; esac
for name in $(echo "${1#--gtest_filter=}" | tr : ' '); do
  echo "[ RUN      ] $name"
  case $name in
    *Crashes) kill -SEGV $$;;
    *Lies) printf 'lies.cpp:1: Failure\n[  FAILED  ] %s, where GetParam() = 1 (0 ms)\n' "$name";;
    *) echo "[       OK ] $name (0 ms)";;
  esac
done
echo "[==========] 1 test from 1 test suite ran. (0 ms total)"
)sh");
  }
  void script(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << "#!/bin/bash\n" << text;
    std::filesystem::permissions(dir_ / name, std::filesystem::perms::owner_all);
  }
  /// `bench` as given; there is a GPU.
  void program(const std::string& bench) {
    script("mtrank", "case $1 in\n  doctor) echo '  gpu             Stub, compute capability 9.0';;\n  bench) " +
                         bench + ";;\nesac\n");
  }
  testing::Process process(const std::string& only) const {
    return {{"python3", MTRANK_SOURCE_DIR "/launch/gpu_check", "--dry-run", "--build", dir_.path(), "--out",
             dir_ / "gpu.json", "--only", only},
            {"MTRANK_DATA=", "PATH=" + dir_.path() + ":" + std::getenv("PATH")},
            ""};
  }
  Json json() const { return Json::parse(testing::read_text(dir_ / "gpu.json")); }
  Json figure(const std::string& name) const {
    const Json all = json();
    for (const Json& figure : all["figures"])
      if (figure["name"] == name) return figure;
    return {};
  }
  /// Waits until the benchmark runs, which it says by making a file.
  void wait_for_bench() const {
    for (int i = 0; i < 600 && !std::filesystem::exists(dir_ / "begun"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }

  const TempDir dir_;
};

constexpr const char* kFirst = "DLRM-DCNv2, batch 65,536";

TEST_F(GpuCheckOfStubs, AProgramThatCannotBeLoadedEndsItAtOnce) {
  script("mtrank", "echo 'mtrank: error while loading shared libraries: libnone.so.1: no such file' >&2; exit 127");
  const ProcessResult r = testing::run_process(process(""));
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.err, HasSubstr("does not run: exit code 127"));
  EXPECT_THAT(r.err, HasSubstr("libnone.so.1"));
}

TEST_F(GpuCheckOfStubs, AGpuThatTheProgramCannotUseIsAFailure) {
  script("mtrank", "echo '  gpu             none: the NVIDIA driver is for CUDA 12.2'");
  EXPECT_EQ(testing::run_process(process("")).code, 0);
  script("nvidia-smi", "echo 'GPU 0: Stub'");
  const ProcessResult r = testing::run_process(process(""));
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.err, HasSubstr("there is a GPU, but mtrank cannot use it: the NVIDIA driver is for CUDA 12.2"));
}

TEST_F(GpuCheckOfStubs, TestsBehindOneThatCrashesGoOn) {
  program("exit 1");
  const ProcessResult r = testing::run_process(process("GPU tests"));
  EXPECT_EQ(r.code, 1) << r.err;
  Json tests = figure("GPU tests that pass");
  EXPECT_EQ(tests["value"], 1) << tests;
  EXPECT_EQ(tests["status"], "FAIL");
  EXPECT_EQ(tests["details"]["Suite.Crashes"]["ended"], "ended by SIGSEGV");
  EXPECT_THAT(tests["details"]["Suite.Lies"]["said"].get<std::string>(), HasSubstr("lies.cpp:1: Failure"));
  EXPECT_EQ(tests["details"]["Suite.Lies"]["alone"], "FAILED");
  EXPECT_THAT(r.out, HasSubstr("Suite.Lies: FAILED, alone FAILED: lies.cpp:1: Failure"));
  EXPECT_THAT(testing::read_text(dir_ / "gpu.log"), HasSubstr("ended by SIGSEGV after"));
}

TEST_F(GpuCheckOfStubs, TestsThatCannotBeLoadedSayWhy) {
  program("exit 1");
  script("cuda_tests", "echo 'error while loading shared libraries: libnone.so.1' >&2; exit 127");
  EXPECT_EQ(testing::run_process(process("GPU tests")).code, 1);
  EXPECT_EQ(figure("GPU tests")["note"], "exit code 127: error while loading shared libraries: libnone.so.1");
}

TEST_F(GpuCheckOfStubs, ASanitizerPassesWhenItsTestsRanToTheEndWithoutErrors) {
  program("exit 1");
  const auto run = [&](const std::string& around) {
    script("compute-sanitizer", around);
    testing::run_process(process("memcheck"));
    return figure("compute-sanitizer memcheck");
  };
  const std::string tests = "echo '[==========] 1 test from 1 test suite ran. (0 ms total)'\n";
  EXPECT_EQ(run(tests + "echo '========= ERROR SUMMARY: 0 errors'")["status"], "pass");
  Json found = run("echo '========= Invalid write'\n" + tests + "echo '========= ERROR SUMMARY: 2 errors'");
  EXPECT_EQ(found["status"], "FAIL");
  EXPECT_EQ(found["value"], 12) << "of six shards";
  EXPECT_THAT(found["details"]["shard 0"].get<std::string>(), HasSubstr("Invalid write"));
  EXPECT_EQ(run("echo '========= ERROR SUMMARY: 0 errors'")["status"], "FAIL") << "no test ran";
  EXPECT_EQ(run(tests)["status"], "FAIL") << "no summary";
}

TEST_F(GpuCheckOfStubs, ABenchmarkThatBreaksIsARowWithTheEndOfWhatItSaid) {
  program("echo first; printf 'cudaMalloc failed\\nfile.cu:7\\n' >&2; kill -SEGV $$");
  EXPECT_EQ(testing::run_process(process("batch 65,536$")).code, 1);
  for (const char* name : {kFirst, "funnel, batch 65,536"}) {
    Json broken = figure(name);
    EXPECT_EQ(broken["status"], "FAIL") << name;
    EXPECT_EQ(broken["note"], "ended by SIGSEGV: file.cu:7");
    EXPECT_EQ(broken["tail"], "cudaMalloc failed\nfile.cu:7");
    EXPECT_THAT(broken["command"].get<std::string>(), HasSubstr("bench"));
  }
  for (const char* text : {"", "{\\\"samples_per_s\\\": 1", "{\\\"samples_per_s\\\": null}"}) {
    program("echo \"" + std::string(text) + "\" > ${@: -1}");
    EXPECT_EQ(testing::run_process(process("^funnel, batch 65,536$")).code, 1);
    EXPECT_EQ(figure("funnel, batch 65,536")["note"], "no number samples_per_s in what it wrote") << text;
  }
}

TEST_F(GpuCheckOfStubs, OursStandsBesideTheBestModeOfAPyTorchProgramThatBreaksLater) {
  program("echo '{\"samples_per_s\": 3000}' > ${@: -1}");
  script("torch_bench.py", R"(import sys
print(sys.argv[1], "eager batch 65536: 75.60 ms, 1,000 samples/s")
print(sys.argv[1], "compile batch 65536: 43.69 ms, 1,500 samples/s", flush=True)
raise RuntimeError("graphs broke")
)");
  testing::Process beside = process("PyTorch");
  beside.argv.insert(beside.argv.end(), {"--yardsticks", dir_.path()});
  testing::run_process(beside);
  for (const char* model : {"dlrm", "funnel"}) {
    EXPECT_EQ(figure("PyTorch " + std::string(model) + " compile, batch 65,536")["value"], 1500);
    Json rest = figure("PyTorch " + std::string(model) + ", the rest");
    EXPECT_EQ(rest["note"], "exit code 1: RuntimeError: graphs broke");
    EXPECT_THAT(rest["tail"].get<std::string>(), HasSubstr("Traceback"));
  }
  for (const char* name : {kFirst, "funnel, batch 65,536"}) {
    EXPECT_EQ(figure(name + std::string(": beside PyTorch"))["value"], 2);
    EXPECT_EQ(figure(name + std::string(": beside PyTorch"))["unit"], "x its best (compile)");
  }
}

TEST_F(GpuCheckOfStubs, PeakMemoryIsWhatTheGpuSaysUntilItStays) {
  script("nvidia-smi", "case \"$*\" in *memory.used*) echo look >> " + dir_ / "looks" + "; [ $(wc -l < " +
                           dir_ / "looks" + ") = 1 ] && echo 1000 || echo 3050;; esac");
  program(R"(sleep 4; echo '{"samples_per_s": 1, "rates": {}, "memory": {"tables": 2097152000}}' > ${@: -1})");
  testing::run_process(process("^funnel, batch 4,096$"));
  Json peak = figure("funnel, batch 4,096: peak memory");
  EXPECT_EQ(peak["value"], 1.025);
  EXPECT_EQ(peak["status"], "pass");
  const std::string looks = testing::read_text(dir_ / "looks");
  EXPECT_LE(std::count(looks.begin(), looks.end(), '\n'), 6) << "one before, the first, four that are the same";
}

TEST_F(GpuCheckOfStubs, CeilingsAreRows) {
  program(R"(cat > ${@: -1} <<'END'
{"copy_bytes_per_s": 3e12, "gather_bytes_per_s": {"512": 1.5e12},
 "products": [{"name": "square", "m": 2, "n": 3, "k": 4, "groups": 1, "precision": "bf16", "flops_per_s": 7e14}]}
END
)");
  EXPECT_EQ(testing::run_process(process("ceilings")).code, 0);
  EXPECT_EQ(figure("copy")["value"], 3);
  EXPECT_EQ(figure("random rows of 512 bytes")["value"], 1.5);
  EXPECT_EQ(figure("product bf16 square 1 x [2, 4] [4, 3]")["value"], 700);
}

TEST_F(GpuCheckOfStubs, ASignalEndsItWithTheTableOfWhatIsKnown) {
  program("touch " + dir_ / "begun" + "; sleep 300");
  testing::Child child(process("GPU tests|batch 65,536$"), dir_ / "out");
  wait_for_bench();
  child.signal(SIGTERM);
  EXPECT_EQ(child.wait(), 1);
  EXPECT_THAT(testing::read_text(dir_ / "out"), ContainsRegex("not measured; wrote .*stopped by SIGTERM"));
  EXPECT_EQ(json()["ended"], true);
  EXPECT_EQ(figure("GPU tests that pass")["value"], 1);
  EXPECT_EQ(figure(kFirst)["note"], "stopped by SIGTERM");
}

TEST_F(GpuCheckOfStubs, WhatIsKnownIsWrittenAsItComes) {
  program("touch " + dir_ / "begun" + "; sleep 3");
  testing::Child child(process("GPU tests|batch 65,536$"), dir_ / "out");
  wait_for_bench();
  child.signal(SIGKILL);
  child.wait();
  EXPECT_EQ(json()["ended"], false);
  EXPECT_EQ(figure("GPU tests that pass")["value"], 1);
}

TEST_F(GpuCheckOfStubs, AllOfItEndsWithItsMinutes) {
  program("sleep 300");
  testing::Process limited = process("batch");
  limited.argv.insert(limited.argv.end(), {"--quick", "--minutes", "0.3"});
  const ProcessResult r = testing::run_process(limited);
  EXPECT_EQ(r.code, 0) << "nothing has failed";
  EXPECT_EQ(figure(kFirst)["note"], "no time left for the rest");
  EXPECT_EQ(figure("funnel, batch 4,096")["note"], "no time left");
}

TEST_F(GpuCheckOfStubs, WhereTheReportCannotBeWrittenItGoesToTheTemporaryFolder) {
  program("exit 1");
  testing::Process elsewhere = process("GPU tests");
  std::filesystem::create_directory(dir_ / "tmp");
  elsewhere.env.push_back("TMPDIR=" + dir_ / "tmp");
  *(std::find(elsewhere.argv.begin(), elsewhere.argv.end(), "--out") + 1) = "/proc/nowhere/gpu.json";
  EXPECT_THAT(testing::run_process(elsewhere).out, HasSubstr("wrote " + dir_ / "tmp/gpu.json"));
  EXPECT_TRUE(Json::accept(testing::read_text(dir_ / "tmp/gpu.json")));
}

}  // namespace
}  // namespace mtrank
