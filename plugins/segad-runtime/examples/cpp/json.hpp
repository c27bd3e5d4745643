// As much JSON as the example reads. Errors are hardly described: check bundles with `segad bundle verify`. A program of your own
// may use a library, such as nlohmann/json.
#pragma once

#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

struct Json {
    std::string text;                   // of a string, number, true, false or null
    std::vector<Json> items;            // of an array
    std::map<std::string, Json> fields; // of an object

    double number() const { return std::strtod(text.c_str(), nullptr); }
    bool has(const std::string& name) const { return fields.count(name) && fields.at(name).text != "null"; }
    const Json& operator[](const std::string& name) const {
        auto found = fields.find(name);
        if (found == fields.end()) throw std::runtime_error("JSON: there is no '" + name + "'");
        return found->second;
    }

    static Json parse(const std::string& text) {
        const char* at = text.c_str();  // ends with 0, which is no JSON
        return value(at);
    }

private:
    static char next(const char*& at) {
        while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') ++at;
        return *at;
    }

    static Json value(const char*& at) {
        Json found;
        char first = next(at);
        if (first == '"') {
            found.text = string(at);
        } else if (first == '[' || first == '{') {
            char last = first == '[' ? ']' : '}';
            ++at;
            while (next(at) != last) {
                if (first == '[') {
                    found.items.push_back(value(at));
                } else {
                    std::string name = string(at);
                    if (next(at) != ':') throw std::runtime_error("JSON: ':' expected");
                    ++at;
                    found.fields[name] = value(at);
                }
                if (next(at) == ',') ++at;
            }
            ++at;
        } else {
            const char* begin = at;
            while (*at && !std::strchr(",]} \n\t\r", *at)) ++at;
            if (at == begin) throw std::runtime_error("JSON: it ends too early");
            found.text.assign(begin, at);
        }
        return found;
    }

    static std::string string(const char*& at) {
        std::string found;
        for (++at; *at && *at != '"'; ++at) {
            if (*at == '\\') found += escaped(++at);
            else found += *at;
        }
        if (*at != '"') throw std::runtime_error("JSON: a string has no end");
        ++at;
        return found;
    }

    // What stands for a character, in UTF-8; leaves `at` at its last character.
    static std::string escaped(const char*& at) {
        static const std::string letters = "nrtbf", meant = "\n\r\t\b\f";
        if (!*at) throw std::runtime_error("JSON: a string has no end");
        if (*at != 'u') {
            size_t place = letters.find(*at);
            return {place == std::string::npos ? *at : meant[place]};
        }
        std::string digits(at + 1, strnlen(at + 1, 4));
        at += digits.size();
        unsigned long code = std::stoul(digits, nullptr, 16);
        if (code < 0x80) return {char(code)};
        if (code < 0x800) return {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
        return {char(0xE0 | code >> 12), char(0x80 | (code >> 6 & 0x3F)), char(0x80 | (code & 0x3F))};
    }
};
