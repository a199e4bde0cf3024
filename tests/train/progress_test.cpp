#include "framework/train/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace mtrank {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TrainProgress example() {
  TrainProgress p;
  p.step = 1200;
  p.total_steps = 2400;
  p.epoch = 1.5;
  p.samples_per_s = 123456;
  p.data_wait = 0.031;
  p.loss = {{"is_click", 0.51234}, {"long_view", 0.25}};
  p.learning_rate = 1e-3;
  p.gradient_norm = 0.8125;
  p.memory_bytes = 1234567890;
  p.seconds_left = 187;
  return p;
}

class Printed {
 public:
  Printed() : file_(std::tmpfile()) {}
  ~Printed() { std::fclose(file_); }
  std::FILE* file() { return file_; }
  std::string text() {
    std::string out;
    std::rewind(file_);
    for (int c; (c = std::fgetc(file_)) != EOF;) out += static_cast<char>(c);
    return out;
  }

 private:
  std::FILE* file_;
};

TEST(Progress, Durations) {
  EXPECT_EQ(format_duration(0.4), "0s");
  EXPECT_EQ(format_duration(59.4), "59s");
  EXPECT_EQ(format_duration(59.6), "1m00s");
  EXPECT_EQ(format_duration(3725), "1h02m");
  EXPECT_EQ(format_duration(std::nan("")), "?");
  EXPECT_EQ(format_duration(-5), "0s");
}

TEST(Progress, CountsAndBytes) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999.4), "999");
  EXPECT_EQ(format_count(999.6), "1.00k");
  EXPECT_EQ(format_count(123456), "123k");
  EXPECT_EQ(format_count(9.996e6), "10.0M");
  EXPECT_EQ(format_count(2.5e9), "2.50G");
  EXPECT_EQ(format_bytes(123456), "123 kB");
  EXPECT_EQ(format_bytes(1234567890), "1.23 GB");
}

TEST(Progress, LineHoldsEverything) {
  EXPECT_EQ(format_line(example()),
            "step 1200/2400  epoch 2 50%  loss is_click 0.5123 long_view 0.2500  123k samples/s  3m07s left  data 3%  "
            "lr 0.001  grad 0.812  1.23 GB");
}

TEST(Progress, BarNeverExceedsTheWidth) {
  TrainProgress p = example();
  p.loss.emplace_back("détail", 1.0);
  for (int width = 0; width <= 250; ++width) {
    const std::string bar = format_bar(p, width);
    int columns = 0;
    for (char c : bar) columns += (c & 0xC0) != 0x80;
    ASSERT_LE(columns, width);
    ASSERT_EQ(bar.find('\n'), std::string::npos);
  }
}

TEST(Progress, BarDropsTheLeastImportantFirst) {
  EXPECT_THAT(format_bar(example(), 250), StartsWith("[###############...............] step 1200/2400  epoch 2"));
  const std::string narrow = format_bar(example(), 80);
  EXPECT_THAT(narrow, HasSubstr("loss is_click 0.5123"));
  EXPECT_THAT(narrow, Not(HasSubstr("GB")));
  EXPECT_EQ(format_bar(example(), 7), "step 12");
  TrainProgress unknown = example();
  unknown.total_steps = 0;
  EXPECT_THAT(format_bar(unknown, 250), StartsWith("step 1200  epoch 2"));
}

TEST(Progress, ANarrowBarOfSeveralTasksSavesWords) {
  TrainProgress p = example();
  p.loss = {{"click", 0.693147}, {"cart", 0.5}, {"checkout", 0.25}};
  EXPECT_EQ(format_bar(p, 79), "step 1200/2400  epoch 2 50%  loss 0.693 0.500 0.250  123k/s  3m07s left");
  EXPECT_THAT(format_bar(p, 90), HasSubstr("checkout 0.2500  123k samples/s"));
  EXPECT_THAT(format_bar(p, 85), HasSubstr("loss click 0.6931 cart 0.5000 checkout 0.2500  123k/s"));
}

TEST(Progress, ABarSaysWhatIsDoneInsteadOfSteps) {
  Printed out;
  ProgressPrinter printer(out.file(), LogFormat::text, true);
  printer.doing("evaluating valid", 1);  // there is no bar yet
  printer.show(example(), 0);
  printer.doing("evaluating valid", 1300);
  printer.doing("", 1300);
  TrainProgress now = example();
  now.step = 1300;
  const std::string after = format_bar(now, 79);
  now.doing = "evaluating valid";
  EXPECT_EQ(out.text(), format_bar(example(), 79) + "\r\033[K" + format_bar(now, 79) + "\r\033[K" + after);
  EXPECT_THAT(format_bar(now, 79), HasSubstr("step 1300/2400, evaluating valid  epoch 2"));
}

TEST(Progress, JsonHasTheDocumentedKeys) {
  TrainProgress p = example();
  p.gradient_norm = std::numeric_limits<double>::infinity();
  const std::string line = format_json(p);
  EXPECT_THAT(line, StartsWith(R"({"event":"train","step":1200,"epoch":1.5,"samples_per_s":123456.0,"data_wait":0.031,)"
                               R"("loss":{"is_click":0.51234,"long_view":0.25})"));
  EXPECT_TRUE(nlohmann::json::parse(line)["gradient_norm"].is_null());
}

TEST(Progress, PrinterWritesALineEveryFewSecondsElsewhere) {
  Printed out;
  ProgressPrinter printer(out.file(), LogFormat::text, false);
  EXPECT_TRUE(printer.due(100));
  printer.show(example(), 100);
  EXPECT_FALSE(printer.due(104.9));
  EXPECT_TRUE(printer.due(105));
  printer.message("resumed at step 7");
  printer.finish();
  EXPECT_EQ(out.text(), format_line(example()) + "\nresumed at step 7\n");
}

TEST(Progress, PrinterRedrawsTheBarAroundMessages) {
  Printed out;
  {
    ProgressPrinter printer(out.file(), LogFormat::text, true);
    printer.show(example(), 0);
    printer.message("hello");
  }
  const std::string bar = format_bar(example(), 79);
  EXPECT_EQ(out.text(), bar + "\r\033[Khello\n" + bar + "\n");
}

TEST(Progress, PrinterSpeaksJsonOnATerminalToo) {
  Printed out;
  ProgressPrinter printer(out.file(), LogFormat::json, true);
  printer.message("a \"quoted\" \xff byte");
  EXPECT_THAT(out.text(), StartsWith("{\"event\":\"message\",\"text\":\"a \\\"quoted\\\" \xEF\xBF\xBD byte\"}\n"));
}

}  // namespace
}  // namespace mtrank
