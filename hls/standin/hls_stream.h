// hls_stream.h - hls::stream for simulation without Vitis: a queue without end. Reading an empty one ends the
// program (in hardware it would wait for ever), and so does one that is not empty when it dies, unless told
// that this is right.
#ifndef MIXQ_HLS_STANDIN_HLS_STREAM_H
#define MIXQ_HLS_STANDIN_HLS_STREAM_H

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace hls {

template <class T, int DEPTH = 0> class stream {
  public:
    stream() : name_("stream") {}
    explicit stream(const char *name) : name_(name) {}
    ~stream() {
        if (!empty())
            std::fprintf(stderr, "hls::stream '%s': %zu values were never read\n", name_.c_str(), size());
    }
    stream(const stream &) = delete;
    stream &operator=(const stream &) = delete;

    bool empty() const {
        return first_ == values_.size();
    }
    bool full() const {
        return false;
    }
    size_t size() const {
        return values_.size() - first_;
    }
    T read() {
        T value;
        read(value);
        return value;
    }
    void read(T &value) {
        if (!read_nb(value)) {
            std::fprintf(stderr, "hls::stream '%s' is read while it is empty\n", name_.c_str());
            std::exit(9);
        }
    }
    bool read_nb(T &value) {
        if (empty()) return false;
        value = values_[first_++];
        if (first_ == values_.size()) {
            values_.clear();
            first_ = 0;
        } else if (first_ >= 4096 && first_ * 2 >= values_.size()) {
            values_.erase(values_.begin(), values_.begin() + static_cast<long>(first_));
            first_ = 0;
        }
        return true;
    }
    void write(const T &value) {
        values_.push_back(value);
    }
    bool write_nb(const T &value) {
        write(value);
        return true;
    }
    void operator>>(T &value) {
        read(value);
    }
    void operator<<(const T &value) {
        write(value);
    }
    const T &peek(size_t i) const {
        return values_[first_ + i];
    } // simulation only

  private:
    std::string name_;
    std::vector<T> values_;
    size_t first_ = 0;
};

} // namespace hls

#endif
