#!/usr/bin/perl
#
# Writes src/json_schema_unicode_tables.h from the Unicode database of the perl
# that runs it:
#
#   perl src/json_schema_unicode_tables.pl > src/json_schema_unicode_tables.h
#
# The result is committed, so that a build needs no database and every build
# accepts the same characters.  Run it again with a newer perl to move to a newer
# Unicode version.  What is written is what ECMA-262 lets stand in \p{...}: general
# categories, scripts, and the binary properties listed below (of the standard's
# list only the case mapping and grapheme properties are left out).
use strict;
use warnings;
use Unicode::UCD qw(prop_invlist prop_invmap prop_values
  prop_value_aliases prop_aliases);

my @binary_properties = qw(
  ASCII_Hex_Digit Alphabetic Bidi_Control Bidi_Mirrored Cased Dash
  Default_Ignorable_Code_Point Deprecated Diacritic Emoji Emoji_Component
  Emoji_Modifier Emoji_Modifier_Base Emoji_Presentation Extended_Pictographic
  Extender Hex_Digit IDS_Binary_Operator IDS_Trinary_Operator ID_Continue
  ID_Start Ideographic Join_Control Logical_Order_Exception Lowercase Math
  Noncharacter_Code_Point Pattern_Syntax Pattern_White_Space Quotation_Mark
  Radical Regional_Indicator Sentence_Terminal Soft_Dotted Terminal_Punctuation
  Unified_Ideograph Uppercase Variation_Selector White_Space XID_Continue
  XID_Start);

# Names that perl spells differently from the aliases that ECMA-262 refers to
my %spelling = (Cntrl => 'cntrl', Digit => 'digit', Punct => 'punct', Space => 'space');

# Prints numbers as the lines of an array
sub print_numbers
{
	my @numbers = map { sprintf('0x%X', $_) } @_;
	print "\t", join(', ', splice(@numbers, 0, 8)), (@numbers ? ',' : ''), "\n" while @numbers;
	return;
}

# Returns the names of a property value, the doubled ones once
sub value_names
{
	my ($property, $value) = @_;
	my %seen;
	return grep { /^\w+$/ && !/_$/ && !$seen{$_}++ } prop_value_aliases($property, $value);
}

# Prints an array of "first code point << 8 | value" and returns the values' numbers
sub print_runs
{
	my ($property, $array) = @_;
	my ($starts, $values) = prop_invmap($property);
	my @order = sort grep { $_ ne '' } map { (prop_value_aliases($property, $_))[0] } @$values;
	my (%number, %seen);
	@order = grep { !$seen{$_}++ } @order;
	@number{@order} = 0 .. $#order;
	print "\n/* First code point of each run of one value << 8 | number of the value */\n";
	print "static const uint32_t ${array}[] = {\n";
	print_numbers(map { $starts->[$_] << 8 | $number{ (prop_value_aliases($property, $values->[$_]))[0] } }
		  grep { $starts->[$_] <= 0x10FFFF } 0 .. $#$starts);
	print "};\n";
	return \%number;
}

# Prints the names of the general categories with the set of categories each stands for
sub print_categories
{
	my ($number) = @_;
	print "\n/* Names of the general categories, each with the bits of the categories it unites */\n";
	print "static const UnicodeName general_category_names[] = {\n";
	foreach my $value (sort(prop_values('gc')))
	{
		my $bits = 0;
		foreach my $category (keys %$number)
		{
			my $member = $value eq 'LC' ? $category =~ /^L[ltu]$/ : $category =~ /^$value/;
			$bits |= 1 << $number->{$category} if $member;
		}
		printf "\t{\"%s\", 0x%X},\n", $spelling{$_} // $_, $bits foreach value_names('gc', $value);
	}
	print "\t{NULL, 0}\n};\n";
	return;
}

# Prints the names of the scripts with their numbers
sub print_scripts
{
	my ($number) = @_;
	print "\n/* Names of the scripts, each with its number */\n";
	print "static const UnicodeName script_names[] = {\n";
	foreach my $value (sort keys %$number)
	{
		printf "\t{\"%s\", %d},\n", $_, $number->{$value} foreach value_names('sc', $value);
	}
	print "\t{NULL, 0}\n};\n";
	return;
}

# Prints the inversion lists of the binary properties and where each name's list is
sub print_binary_properties
{
	my (@numbers, @names);
	foreach my $property (@binary_properties)
	{
		my @list = prop_invlist($property);
		push @list, 0x110000 if @list % 2;
		my %seen;
		foreach my $name (grep { /^\w+$/ && !/_$/ && !$seen{$_}++ } prop_aliases($property))
		{
			push @names, sprintf("\t{\"%s\", %d, %d},\n", $spelling{$name} // $name, scalar @numbers, scalar @list);
		}
		push @numbers, @list;
	}
	print "\n/* Per property: first code point inside, first outside, and so on */\n";
	print "static const uint32_t binary_property_boundaries[] = {\n";
	print_numbers(@numbers);
	print "};\n\n/* Names of the properties, each with where its boundaries start and how many they are */\n";
	print "static const UnicodePropertyName binary_property_names[] = {\n", @names, "\t{NULL, 0, 0}\n};\n";
	return;
}

my $version = Unicode::UCD::UnicodeVersion();
print <<"HEAD";
/*
 * json_schema_unicode_tables.h
 *		Unicode $version: general categories, scripts and binary properties.
 *
 * Written by json_schema_unicode_tables.pl, which says how; included only by
 * json_schema_pattern_sets.c, which declares the types.
 */
HEAD
my $category_numbers = print_runs('gc', 'general_category_runs');
print_categories($category_numbers);
print_scripts(print_runs('sc', 'script_runs'));
print_binary_properties();
